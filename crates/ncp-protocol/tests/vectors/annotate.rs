//! Annotated hex: the canonical encoding of a value, field by field, so that a vector mirrors the structure it encodes.
//!
//! The encoder is written again here, from the rules in PROTOCOL.md and not from the product's code: a golden vector is
//! therefore checked by two encoders.

use std::fmt::Write as _;

use serde::ser::{self, Serialize};

/// Bytes with the name of the field that they encode.
#[derive(Clone)]
pub(crate) struct Segment {
    label: String,
    note: String,
    bytes: Vec<u8>,
}

/// A byte string in named pieces.
#[derive(Clone, Default)]
pub(crate) struct Hex(Vec<Segment>);

impl Hex {
    /// The encoding of `value`.
    pub(crate) fn of<T: Serialize>(value: &T) -> Self {
        let mut annotator = Annotator::default();
        value.serialize(&mut annotator).expect("a protocol type");
        Self(annotator.segments)
    }

    /// The same behind the prefix of a kind, in layout version 1.
    pub(crate) fn prefixed<T: Serialize>(kind: u8, value: &T) -> Self {
        let prefix = vec![b'N', b'C', b'P', kind, 1, 0, 0, 0];
        Self::default().and("prefix", &format!("NCP, {:?}, layout 1", char::from(kind)), prefix).then(Self::of(value))
    }

    /// The lines of a text.
    pub(crate) fn text(text: &str) -> Self {
        let lines = text.split_inclusive('\n').enumerate();
        lines.fold(Self::default(), |hex, (index, line)| {
            let shown = if line.len() > 60 { "" } else { line.trim_end() };
            hex.and(&format!("line {}", index + 1), shown, line.as_bytes().to_vec())
        })
    }

    /// One unnamed piece.
    pub(crate) fn raw(label: &str, bytes: Vec<u8>) -> Self {
        Self::default().and(label, "", bytes)
    }

    pub(crate) fn and(mut self, label: &str, note: &str, bytes: Vec<u8>) -> Self {
        self.0.push(Segment { label: label.to_owned(), note: note.to_owned(), bytes });
        self
    }

    pub(crate) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// All pieces behind their length (u64), as a byte string inside another value.
    pub(crate) fn nested(self, label: &str) -> Self {
        let length = self.bytes().len() as u64;
        Self::default().and(&format!("{label}.length"), &length.to_string(), length.to_le_bytes().to_vec()).then(self)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|segment| segment.bytes.clone()).collect()
    }

    /// Puts other bytes in a field's place.
    pub(crate) fn set(mut self, label: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let segment = self.find(label);
        segment.bytes = bytes.into();
        segment.note = "changed".to_owned();
        self
    }

    /// Flips the lowest bit of a field's first byte.
    pub(crate) fn flip(mut self, label: &str) -> Self {
        let segment = self.find(label);
        segment.bytes[0] ^= 1;
        segment.note = "lowest bit flipped".to_owned();
        self
    }

    /// Cuts the last byte off.
    pub(crate) fn cut(mut self) -> Self {
        let segment = self.0.last_mut().expect("not empty");
        segment.bytes.pop();
        segment.note = "one byte cut off".to_owned();
        self
    }

    /// Appends a byte.
    pub(crate) fn trailing(self) -> Self {
        self.and("trailing byte", "", vec![0])
    }

    fn find(&mut self, label: &str) -> &mut Segment {
        let labels = self.0.iter().map(|segment| segment.label.clone()).collect::<Vec<_>>();
        self.0.iter_mut().find(|segment| segment.label == label).unwrap_or_else(|| panic!("no {label} in {labels:?}"))
    }

    /// Lines of at most 32 bytes, each field from a line of its own.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        for Segment { label, note, bytes } in &self.0 {
            let comment = if note.is_empty() { label.clone() } else { format!("{label}: {note}") };
            if bytes.is_empty() {
                writeln!(text, "# {comment}, empty").expect("a string");
            }
            for (index, line) in bytes.chunks(32).enumerate() {
                let hex = line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
                let tail = if index == 0 { format!("  # {comment}") } else { String::new() };
                writeln!(text, "{hex}{tail}").expect("a string");
            }
        }
        text
    }
}

#[derive(Default)]
struct Annotator {
    path: Vec<String>,
    segments: Vec<Segment>,
}

#[derive(Debug)]
pub(crate) struct NoEncoding(String);

impl std::fmt::Display for NoEncoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoEncoding {}

impl ser::Error for NoEncoding {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Encoded = Result<(), NoEncoding>;

impl Annotator {
    fn push(&mut self, suffix: &str, note: String, bytes: &[u8]) -> Encoded {
        let label = if self.path.is_empty() { "value".to_owned() } else { self.path.join(".") } + suffix;
        self.segments.push(Segment { label, note, bytes: bytes.to_vec() });
        Ok(())
    }

    fn number<N: std::fmt::Display>(&mut self, number: N, bytes: &[u8]) -> Encoded {
        self.push("", number.to_string(), bytes)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Encoded {
        self.path.push(name.to_owned());
        let encoded = value.serialize(&mut *self);
        self.path.pop();
        encoded
    }

    /// Joins the single bytes that an array, or a byte vector, wrote one by one.
    fn join_bytes(&mut self, from: usize) {
        let single = |segment: &Segment| segment.bytes.len() == 1;
        if self.segments.len() - from > 1 && self.segments[from..].iter().all(single) {
            let bytes: Vec<u8> = self.segments.drain(from..).flat_map(|segment| segment.bytes).collect();
            let printable = bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == 0) && bytes.len() <= 8;
            let note = if printable { String::from_utf8_lossy(&bytes).replace('\0', "") } else { String::new() };
            self.push("", note, &bytes).expect("infallible");
        }
    }
}

/// A list, tuple or struct in the making.
struct Compound<'a> {
    annotator: &'a mut Annotator,
    start: usize,
    index: usize,
    indexed: bool,
    /// How many path pieces to drop at the end.
    pushed: usize,
}

impl<'a> Compound<'a> {
    fn new(annotator: &'a mut Annotator, indexed: bool, variant: Option<&str>) -> Self {
        if let Some(variant) = variant {
            annotator.path.push(variant.to_owned());
        }
        let start = annotator.segments.len();
        Self { annotator, start, index: 0, indexed, pushed: usize::from(variant.is_some()) }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Encoded {
        let name = format!("{}", self.index);
        self.index += 1;
        if self.indexed { self.annotator.field(&name, value) } else { value.serialize(&mut *self.annotator) }
    }

    fn finish(self) -> Encoded {
        let Self { annotator, start, pushed, .. } = self;
        for _ in 0..pushed {
            annotator.path.pop();
        }
        annotator.join_bytes(start);
        Ok(())
    }
}

macro_rules! elements {
    ($($of:ident $method:ident)+) => {
        $(impl ser::$of for Compound<'_> {
            type Ok = ();
            type Error = NoEncoding;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Encoded {
                self.element(value)
            }
            fn end(self) -> Encoded {
                self.finish()
            }
        })+
    };
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! fields {
    ($($of:ident)+) => {
        $(impl ser::$of for Compound<'_> {
            type Ok = ();
            type Error = NoEncoding;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Encoded {
                self.annotator.field(name, value)
            }
            fn end(self) -> Encoded {
                self.finish()
            }
        })+
    };
}

fields! { SerializeStruct SerializeStructVariant }

macro_rules! numbers {
    ($($method:ident $number:ty)+) => {
        $(fn $method(self, number: $number) -> Encoded {
            self.number(number, &number.to_le_bytes())
        })+
    };
}

impl<'a> ser::Serializer for &'a mut Annotator {
    type Ok = ();
    type Error = NoEncoding;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = ser::Impossible<(), NoEncoding>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    numbers! {
        serialize_i8 i8 serialize_i16 i16 serialize_i32 i32 serialize_i64 i64
        serialize_u8 u8 serialize_u16 u16 serialize_u32 u32 serialize_u64 u64
    }

    fn serialize_bool(self, value: bool) -> Encoded {
        self.number(value, &[u8::from(value)])
    }

    fn serialize_f32(self, _: f32) -> Encoded {
        Err(NoEncoding("a signed type has no floats".to_owned()))
    }

    fn serialize_f64(self, _: f64) -> Encoded {
        Err(NoEncoding("a signed type has no floats".to_owned()))
    }

    fn serialize_char(self, _: char) -> Encoded {
        Err(NoEncoding("no type holds a single character".to_owned()))
    }

    fn serialize_str(self, text: &str) -> Encoded {
        self.push(".length", text.len().to_string(), &(text.len() as u64).to_le_bytes())?;
        let shown = if text.len() <= 60 && !text.contains('\n') { format!("{text:?}") } else { String::new() };
        self.push("", shown, text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Encoded {
        self.push(".length", bytes.len().to_string(), &(bytes.len() as u64).to_le_bytes())?;
        self.push("", String::new(), bytes)
    }

    fn serialize_none(self) -> Encoded {
        self.push("", "none".to_owned(), &[0])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Encoded {
        self.push(".some", String::new(), &[1])?;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Encoded {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Encoded {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, variant: &'static str) -> Encoded {
        self.push("", variant.to_owned(), &index.to_le_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Encoded {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Encoded {
        self.push("", variant.to_owned(), &index.to_le_bytes())?;
        self.field(variant, value)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Compound<'a>, NoEncoding> {
        let length = length.ok_or_else(|| NoEncoding("a list of unknown length".to_owned()))?;
        self.push(".length", length.to_string(), &(length as u64).to_le_bytes())?;
        Ok(Compound::new(self, true, None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, NoEncoding> {
        Ok(Compound::new(self, false, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, NoEncoding> {
        Ok(Compound::new(self, false, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, NoEncoding> {
        self.push("", variant.to_owned(), &index.to_le_bytes())?;
        Ok(Compound::new(self, false, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, NoEncoding> {
        Err(NoEncoding("a signed type has no maps".to_owned()))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, NoEncoding> {
        Ok(Compound::new(self, false, None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, NoEncoding> {
        self.push("", variant.to_owned(), &index.to_le_bytes())?;
        Ok(Compound::new(self, false, Some(variant)))
    }
}
