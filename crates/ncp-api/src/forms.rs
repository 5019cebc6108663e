//! The coded forms that are shipped: schemas with a version, checked alike by the node and by ncpctl.
//!
//! A field is filled or absent, never empty. Values from closed lists stand as codes, so that the reader's side shows
//! them in its own language. A new field or code is a new version of the form; old versions stay readable.

use core::fmt::Write as _;

use ncp_protocol::codes::Form;
use serde_json::Value;

use crate::message::FormContent;
use crate::registry::{ErrorCode, Fault};
use crate::time::Time;

/// Longest text of one field, in bytes.
pub const FIELD_TEXT_MAX: usize = 2_000;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A line or lines of text, up to [`FIELD_TEXT_MAX`] bytes.
    Text,
    /// A whole number in this range.
    Number(i64, i64),
    /// A day, `2026-11-22`, or a part of it, `2026-11` or `2026`.
    Date,
    /// A point in time, RFC 3339 in UTC.
    Time,
    /// Two capital letters (ISO 3166-1).
    Country,
    /// One of these codes.
    OneOf(&'static [&'static str]),
    /// Yes or no.
    YesNo,
}

/// Whether a form can do without a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It cannot.
    Required,
    /// It can.
    Optional,
}

/// One field of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it is called in English.
    pub label: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether it must be filled.
    pub need: Need,
}

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormSchema {
    /// Its code.
    pub code: &'static str,
    /// Its version.
    pub version: u16,
    /// What it is for.
    pub title: &'static str,
    /// Its fields, in the order in which they are shown.
    pub fields: &'static [Field],
}

const fn field(name: &'static str, label: &'static str, kind: FieldKind) -> Field {
    Field { name, label, kind, need: Need::Optional }
}

const fn required(name: &'static str, label: &'static str, kind: FieldKind) -> Field {
    Field { name, label, kind, need: Need::Required }
}

const SEX: FieldKind = FieldKind::OneOf(&["female", "male", "unspecified"]);
const COLOURS: FieldKind = FieldKind::OneOf(&[
    "black",
    "blue",
    "brown",
    "green",
    "grey",
    "multicoloured",
    "orange",
    "other",
    "red",
    "silver",
    "violet",
    "white",
    "yellow",
]);

/// All forms, by code; one version each so far.
pub const FORMS: &[FormSchema] = &[
    FormSchema {
        code: "document",
        version: 1,
        title: "Travel or identity document",
        fields: &[
            required(
                "type",
                "kind of document",
                FieldKind::OneOf(&[
                    "driving-licence",
                    "identity-card",
                    "other",
                    "passport",
                    "residence-permit",
                    "travel-document",
                    "vehicle-registration",
                    "visa",
                ]),
            ),
            field("number", "number", FieldKind::Text),
            field("issuing_country", "issued by", FieldKind::Country),
            field("issuing_authority", "authority", FieldKind::Text),
            field("issued", "issued on", FieldKind::Date),
            field("expires", "valid until", FieldKind::Date),
            field("holder_name", "name of the holder", FieldKind::Text),
            field(
                "suspicion",
                "suspicion",
                FieldKind::OneOf(&[
                    "counterfeit",
                    "forged",
                    "fraudulently-obtained",
                    "impostor",
                    "lost",
                    "none",
                    "stolen",
                ]),
            ),
            field("presented_at", "presented at", FieldKind::Text),
            field("presented_time", "presented on", FieldKind::Time),
            field("question", "question", FieldKind::Text),
        ],
    },
    FormSchema {
        code: "event",
        version: 1,
        title: "Event at the border",
        fields: &[
            required(
                "type",
                "kind of event",
                FieldKind::OneOf(&[
                    "accident",
                    "crossing-incident",
                    "illegal-crossing",
                    "natural-event",
                    "other",
                    "seizure",
                    "technical-failure",
                    "threat",
                ]),
            ),
            required("time", "when", FieldKind::Time),
            required("place", "where", FieldKind::Text),
            field("country", "country", FieldKind::Country),
            field("persons", "persons concerned", FieldKind::Number(0, 1_000_000)),
            field("description", "what happened", FieldKind::Text),
            field("reaction", "reaction taken", FieldKind::Text),
            field("ongoing", "still going on", FieldKind::YesNo),
        ],
    },
    FormSchema {
        code: "goods",
        version: 1,
        title: "Goods",
        fields: &[
            required(
                "type",
                "kind of goods",
                FieldKind::OneOf(&[
                    "cash",
                    "counterfeit-goods",
                    "cultural-property",
                    "drugs",
                    "dual-use",
                    "excise-goods",
                    "explosives",
                    "other",
                    "precursor-chemicals",
                    "waste",
                    "weapons",
                    "wildlife",
                ]),
            ),
            field("description", "description", FieldKind::Text),
            field("quantity", "quantity", FieldKind::Text),
            field("value", "value", FieldKind::Text),
            field("origin_country", "origin", FieldKind::Country),
            field("destination_country", "destination", FieldKind::Country),
            field("concealment", "how hidden", FieldKind::Text),
            field("means_of_transport", "means of transport", FieldKind::Text),
            field("found_at", "found at", FieldKind::Text),
            field("found_time", "found on", FieldKind::Time),
            field("question", "question", FieldKind::Text),
        ],
    },
    FormSchema {
        code: "person",
        version: 1,
        title: "Person",
        fields: &[
            required("family_name", "family name", FieldKind::Text),
            field("given_names", "given names", FieldKind::Text),
            field("former_names", "former names and aliases", FieldKind::Text),
            field("sex", "sex", SEX),
            field("born", "date of birth", FieldKind::Date),
            field("birth_place", "place of birth", FieldKind::Text),
            field("birth_country", "country of birth", FieldKind::Country),
            field("nationality", "nationality", FieldKind::Country),
            field("document_type", "document", FieldKind::Text),
            field("document_number", "number of the document", FieldKind::Text),
            field("address", "address", FieldKind::Text),
            field("role", "in the case", FieldKind::OneOf(&["missing", "other", "suspect", "victim", "witness"])),
            field("last_seen_at", "last seen at", FieldKind::Text),
            field("last_seen_time", "last seen on", FieldKind::Time),
            field("question", "question", FieldKind::Text),
        ],
    },
    FormSchema {
        code: "vehicle",
        version: 2,
        title: "Vehicle",
        fields: &[
            required(
                "type",
                "kind of vehicle",
                FieldKind::OneOf(&["bus", "car", "lorry", "motorcycle", "other", "trailer", "van"]),
            ),
            field("registration", "registration", FieldKind::Text),
            field("registration_country", "registered in", FieldKind::Country),
            field("vin", "identification number", FieldKind::Text),
            field("make", "make", FieldKind::Text),
            field("model", "model", FieldKind::Text),
            field("colour", "colour", COLOURS),
            field("year", "year", FieldKind::Number(1900, 2100)),
            field("features", "marks and features", FieldKind::Text),
            field("occupants", "occupants", FieldKind::Number(0, 200)),
            field("seen_at", "seen at", FieldKind::Text),
            field("seen_time", "seen on", FieldKind::Time),
            field("direction", "direction", FieldKind::OneOf(&["entry", "exit", "transit", "unknown"])),
            field("reported_stolen", "reported stolen", FieldKind::YesNo),
            field("suspicion", "suspicion", FieldKind::Text),
            field("question", "question", FieldKind::Text),
        ],
    },
    FormSchema {
        code: "vessel",
        version: 1,
        title: "Vessel",
        fields: &[
            required("name", "name", FieldKind::Text),
            field("imo", "IMO number", FieldKind::Number(1_000_000, 9_999_999)),
            field("mmsi", "MMSI", FieldKind::Number(1, 999_999_999)),
            field("flag", "flag", FieldKind::Country),
            field(
                "type",
                "kind of vessel",
                FieldKind::OneOf(&[
                    "barge",
                    "cargo",
                    "fishing",
                    "other",
                    "passenger",
                    "sailing",
                    "speedboat",
                    "tanker",
                ]),
            ),
            field("length_metres", "length in metres", FieldKind::Number(1, 500)),
            field("persons", "persons on board", FieldKind::Number(0, 10_000)),
            field("position", "position", FieldKind::Text),
            field("seen_time", "seen on", FieldKind::Time),
            field("last_port", "last port", FieldKind::Text),
            field("destination", "destination", FieldKind::Text),
            field("question", "question", FieldKind::Text),
        ],
    },
];

/// The newest version of a form.
#[must_use]
pub fn newest(code: &str) -> Option<&'static FormSchema> {
    FORMS.iter().filter(|schema| schema.code == code).max_by_key(|schema| schema.version)
}

/// The schema of a form, if it is shipped.
#[must_use]
pub fn schema_of(form: &Form) -> Option<&'static FormSchema> {
    FORMS.iter().find(|schema| schema.code == form.code.as_str() && schema.version == form.version)
}

/// Checks a filled form.
///
/// # Errors
/// [`ErrorCode::FormUnknown`] and [`ErrorCode::FormFieldInvalid`].
pub fn check(content: &FormContent) -> Result<&'static FormSchema, Fault> {
    let Some(schema) = schema_of(&content.form) else {
        let mut known = String::new();
        for schema in FORMS {
            let _ = write!(known, "{}{}/{}", if known.is_empty() { "" } else { ", " }, schema.code, schema.version);
        }
        return Err(ErrorCode::FormUnknown.with("form", &content.form).with("known", known).field("form.form"));
    };
    let wrong = |name: &str, reason: &str| {
        let fault = ErrorCode::FormFieldInvalid.with("form", &content.form).with("field", name).with("reason", reason);
        fault.field(format!("form.fields.{name}"))
    };
    for field in schema.fields {
        match content.fields.get(field.name) {
            None if field.need == Need::Required => return Err(wrong(field.name, "is missing")),
            None => {}
            Some(value) => check_value(field.kind, value).map_err(|reason| wrong(field.name, &reason))?,
        }
    }
    match content.fields.keys().find(|name| schema.fields.iter().all(|field| field.name != name.as_str())) {
        Some(name) => Err(wrong(name, "is not a field of this form")),
        None => Ok(schema),
    }
}

/// The form that a text names: `vehicle` for its newest version, or `vehicle/2`.
#[must_use]
pub fn named(text: &str) -> Option<&'static FormSchema> {
    newest(text).or_else(|| text.parse().ok().and_then(|form| schema_of(&form)))
}

/// What a field holds, in words for people.
#[must_use]
pub fn expected(kind: FieldKind) -> String {
    match kind {
        FieldKind::Text => "text".to_owned(),
        FieldKind::Number(low, high) => format!("a number from {low} to {high}"),
        FieldKind::Date => "a date: 2026-11-22, 2026-11 or 2026".to_owned(),
        FieldKind::Time => "a time in UTC: 2026-11-22T12:02Z".to_owned(),
        FieldKind::Country => "two capital letters (ISO 3166-1)".to_owned(),
        FieldKind::OneOf(codes) => format!("one of: {}", codes.join(", ")),
        FieldKind::YesNo => "yes or no".to_owned(),
    }
}

/// What a person typed for a field, as the value that the form holds.
///
/// # Errors
/// What the field must be, in words.
pub fn read(kind: FieldKind, typed: &str) -> Result<Value, String> {
    let typed = typed.trim();
    let value = match kind {
        FieldKind::Text | FieldKind::Date | FieldKind::Time => Value::from(typed),
        FieldKind::Number(..) => typed.parse::<i64>().map_or_else(|_| Value::from(typed), Value::from),
        FieldKind::Country => Value::from(typed.to_ascii_uppercase()),
        FieldKind::OneOf(_) => Value::from(typed.to_ascii_lowercase()),
        FieldKind::YesNo => match typed.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" => Value::Bool(true),
            "n" | "no" | "false" => Value::Bool(false),
            _ => return Err("must be yes or no".to_owned()),
        },
    };
    check_value(kind, &value).map(|()| value)
}

fn check_value(kind: FieldKind, value: &Value) -> Result<(), String> {
    let text = value.as_str().filter(|text| !text.trim().is_empty() && text.len() <= FIELD_TEXT_MAX);
    let (good, expected) = match kind {
        FieldKind::Text => (text.is_some(), format!("must be a text of 1 to {FIELD_TEXT_MAX} bytes")),
        FieldKind::Number(low, high) => (
            value.as_i64().is_some_and(|number| (low..=high).contains(&number)),
            format!("must be a number from {low} to {high}"),
        ),
        FieldKind::Date => (text.is_some_and(is_date), "must be a date such as 2026-11-22, 2026-11 or 2026".to_owned()),
        FieldKind::Time => (
            text.is_some_and(|text| text.parse::<Time>().is_ok()),
            "must be a time such as 2026-11-22T12:02Z".to_owned(),
        ),
        FieldKind::Country => (
            text.is_some_and(|text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())),
            "must be two capital letters (ISO 3166-1)".to_owned(),
        ),
        FieldKind::OneOf(codes) => {
            (text.is_some_and(|text| codes.contains(&text)), format!("must be one of: {}", codes.join(", ")))
        }
        FieldKind::YesNo => (value.is_boolean(), "must be true or false".to_owned()),
    };
    if good { Ok(()) } else { Err(expected) }
}

fn is_date(text: &str) -> bool {
    let full = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    // People are born before 1970, where times of this system begin: the day is checked in a year of the same length.
    let (Some(year), Some(rest)) = (full.get(..4).and_then(|year| year.parse::<u64>().ok()), full.get(4..)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    (1850..=2200).contains(&year) && format!("{}{rest}", if leap { 2000 } else { 2001 }).parse::<Time>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vehicle(fields: Value) -> Result<&'static FormSchema, Fault> {
        let fields = fields.as_object().expect("object").clone();
        check(&FormContent { form: "vehicle/2".parse().expect("form"), fields })
    }

    #[test]
    fn forms_are_sound() {
        for schema in FORMS {
            let form: Form = format!("{}/{}", schema.code, schema.version).parse().expect("a form's code");
            assert_eq!(schema_of(&form), Some(schema));
            for (index, field) in schema.fields.iter().enumerate() {
                assert!(schema.fields.iter().skip(index + 1).all(|other| other.name != field.name), "{}", field.name);
                if let FieldKind::OneOf(codes) = field.kind {
                    assert!(codes.is_sorted(), "{}: {codes:?}", field.name);
                }
            }
        }
        assert_eq!(newest("vehicle").map(|schema| schema.version), Some(2));
    }

    #[test]
    fn what_is_typed_becomes_a_value_that_passes() {
        for (kind, typed, value) in [
            (FieldKind::Text, " Grey van ", json!("Grey van")),
            (FieldKind::Number(1900, 2100), "2019", json!(2019)),
            (FieldKind::Date, "1961-02", json!("1961-02")),
            (FieldKind::Country, "xa", json!("XA")),
            (FieldKind::OneOf(&["car", "van"]), "Van", json!("van")),
            (FieldKind::YesNo, "Y", json!(true)),
            (FieldKind::YesNo, "no", json!(false)),
        ] {
            assert_eq!(read(kind, typed), Ok(value), "{typed}");
        }
        for (kind, typed) in [
            (FieldKind::Text, " "),
            (FieldKind::Number(1900, 2100), "19"),
            (FieldKind::Number(1900, 2100), "old"),
            (FieldKind::Date, "yesterday"),
            (FieldKind::Country, "Austria"),
            (FieldKind::OneOf(&["car", "van"]), "boat"),
            (FieldKind::YesNo, "perhaps"),
        ] {
            let refused = read(kind, typed).expect_err(typed);
            assert!(refused.starts_with("must be "), "{refused}");
        }
    }

    #[test]
    fn a_filled_form_passes() {
        let fields = json!({"type": "van", "colour": "grey", "registration_country": "XA", "year": 2019,
            "seen_time": "2026-11-21T22:10Z", "reported_stolen": false, "registration": "XA 1234"});
        assert_eq!(vehicle(fields).map(|schema| schema.code), Ok("vehicle"));
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (fields, field, words) in [
            (json!({}), "type", "is missing"),
            (json!({"type": "plane"}), "type", "must be one of"),
            (json!({"type": "van", "year": 19}), "year", "1900 to 2100"),
            (json!({"type": "van", "year": "2019"}), "year", "number"),
            (json!({"type": "van", "registration_country": "xa"}), "registration_country", "capital"),
            (json!({"type": "van", "vin": " "}), "vin", "1 to"),
            (json!({"type": "van", "wheels": 4}), "wheels", "not a field"),
            (json!({"type": "van", "reported_stolen": "yes"}), "reported_stolen", "true or false"),
        ] {
            let fault = vehicle(fields).expect_err(field);
            assert_eq!(fault.field.as_deref(), Some(format!("form.fields.{field}").as_str()));
            assert!(fault.cause().contains(words), "{fault}");
        }
    }

    #[test]
    fn dates_may_be_partial_and_old() {
        for good in ["1955-02-28", "1956-02-29", "1955-02", "1955"] {
            assert!(is_date(good), "{good}");
        }
        for bad in ["1955-02-29", "55", "1955-13", "1700-01-01", "1955-1-1", "yesterday"] {
            assert!(!is_date(bad), "{bad}");
        }
    }
}
