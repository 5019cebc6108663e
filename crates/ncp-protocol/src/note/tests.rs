//! The published samples, the strictness of the parsers, and which signatures make a note true.

use proptest::prelude::*;

use super::*;

/// The sample key of the C2SP text.
const SAMPLE: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn verifier(name: &str, seed: u8) -> VerifierKey {
    VerifierKey::new(name, SignatureType::Ed25519, key(seed).verifying_key()).unwrap()
}

#[test]
fn published_sample_key_reads_and_prints() {
    let sample = VerifierKey::parse(SAMPLE).unwrap();
    assert_eq!(sample.name(), "example.com/foo");
    assert_eq!(sample.signature_type(), SignatureType::Ed25519);
    assert_eq!(sample.id(), NoteKeyId([0x53, 0x0d, 0x90, 0x3a]));
    assert_eq!(sample.to_string(), SAMPLE);
}

#[test]
fn key_id_depends_on_name_type_and_key() {
    let public = key(1).verifying_key();
    let id = NoteKeyId::new("log", SignatureType::Ed25519, &public);
    assert_ne!(id, NoteKeyId::new("log2", SignatureType::Ed25519, &public));
    assert_ne!(id, NoteKeyId::new("log", SignatureType::Ed25519Cosignature, &public));
    assert_ne!(id, NoteKeyId::new("log", SignatureType::Ed25519, &key(2).verifying_key()));
    for signature_type in [SignatureType::Ed25519, SignatureType::Ed25519Cosignature] {
        let verifier = VerifierKey::new("log", signature_type, public).unwrap();
        assert_eq!(VerifierKey::parse(&verifier.to_string()), Ok(verifier));
    }
}

#[test]
fn other_texts_are_no_verifier_keys() {
    use VerifierKeyError::*;
    let check = |from: &str, to: &str, expected| {
        assert_eq!(VerifierKey::parse(&SAMPLE.replacen(from, to, 1)), Err(expected), "{from} to {to}");
    };
    check("example.com/foo+", "", Form);
    check("example.com/foo", "", Name);
    check("example.com/foo", "example com", Name);
    check("example.com/foo", "example\u{2003}com", Name);
    check("example.com/foo", "example\u{7f}com", Name);
    check("example.com/foo", "example.com/bar", KeyId);
    check("530d903a", "530d903b", KeyId);
    check("530d903a", "530D903A", Form);
    check("530d903a", "0530d903a", Form);
    check("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "", Form);
    check("Aeky", "Beky", SignatureType(0x05));
    check("Aeky", "Aek=", Form);
    check("3U2k", "3U2kAAAA", Form);
    check("3U2k", "", Form);
    // The identity point: anyone could sign for it.
    let weak = [&[0x01, 0x01], [0; 31].as_slice()].concat();
    check("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", &Base64::encode_string(&weak), Key(KeyError::Weak));
}

#[test]
fn note_is_text_empty_line_signature_lines() {
    let text = "first\n\nlast\n";
    let signature = sign(text, "log", &key(1));
    let line = Base64::encode_string(&[&signature.id().0, signature.bytes()].concat());
    let note = SignedNote::new(text, vec![signature]).unwrap();
    let printed = format!("first\n\nlast\n\n— log {line}\n");
    assert_eq!(note.to_string(), printed);
    assert_eq!(SignedNote::parse(&printed), Ok(note));
}

#[test]
fn malformed_notes_are_refused() {
    use NoteError::*;
    let line = sign("text\n", "log", &key(1)).to_string();
    let check = |note: String, expected| assert_eq!(SignedNote::parse(&note), Err(expected), "{note:?}");
    assert!(SignedNote::parse(&format!("text\n\n{line}\n")).is_ok());
    check(String::new(), Unsigned);
    check("text\n".to_owned(), Unsigned);
    check(format!("text\n{line}\n"), Unsigned);
    check(format!("\n{line}\n"), Unsigned);
    check("text\n\n".to_owned(), Unsigned);
    check(format!("text\n\n{line}"), SignatureLine);
    check(format!("text\n\n{line}\n\n"), Unsigned);
    check(format!("text\n\n{line}\nmore\n"), SignatureLine);
    check(format!("text\n\n{line}\n{line}\n"), SignedTwice);
    for control in ['\0', '\t', '\r', '\u{1b}', '\u{7f}', '\u{85}'] {
        check(format!("te{control}xt\n\n{line}\n"), ControlCharacter);
        check(format!("text\n\n{line}{control}\n"), ControlCharacter);
    }
    check(format!("{}\n\n{line}\n", "x".repeat(NOTE_MAX)), TooLong);
}

#[test]
fn malformed_signature_lines_are_refused() {
    let check = |line: &str| assert_eq!(NoteSignature::parse(line), Err(NoteError::SignatureLine), "{line:?}");
    assert!(NoteSignature::parse("— log AAAAAAA=").is_ok());
    for line in [
        "",
        "— log",
        "— log ",
        "- log AAAAAAA=",
        "—log AAAAAAA=",
        "—  AAAAAAA=",
        "— lo+g AAAAAAA=",
        "— lo\u{a0}g AAAAAAA=",
        "— log  AAAAAAA=",
        "— log AAAAAAA= ",
        "— log AAAAAAA",
        "— log AAAAAAB=",
        "— log AAAAAA==",
        "— log AAAA",
        " — log AAAAAAA=",
    ] {
        check(line);
    }
}

#[test]
fn note_holds_no_more_signatures_than_its_limit() {
    let line = |i: usize| NoteSignature::new(&format!("key{i}"), NoteKeyId([0; 4]), &[1; 64]);
    let most = SignedNote::new("text\n", (0..NOTE_SIGNATURES_MAX).map(line).collect()).unwrap();
    assert_eq!(SignedNote::parse(&most.to_string()).as_ref(), Ok(&most));
    let more = format!("{most}{}\n", line(NOTE_SIGNATURES_MAX));
    assert_eq!(SignedNote::parse(&more), Err(NoteError::TooManySignatures));
    assert_eq!(most.with_signature(line(NOTE_SIGNATURES_MAX)), Err(NoteError::TooManySignatures));
}

#[test]
fn sixteen_large_signatures_fit() {
    // As many as a verifier must accept, each as long as an ML-DSA-44 cosignature.
    let line = |i: usize| NoteSignature::new(&format!("witness.example/{i}"), NoteKeyId([0; 4]), &[1; 8 + 2420]);
    let note = SignedNote::new("text\n", (0..16).map(line).collect()).unwrap();
    assert_eq!(SignedNote::parse(&note.to_string()), Ok(note));
}

#[test]
fn note_of_bad_pieces_is_not_made() {
    use NoteError::*;
    let good = sign("text\n", "log", &key(1));
    let check = |text: &str, signatures: Vec<NoteSignature>, expected| {
        assert_eq!(SignedNote::new(text, signatures), Err(expected), "{text:?}");
    };
    check("text", vec![good.clone()], Text);
    check("", vec![good.clone()], Text);
    check("te\rxt\n", vec![good.clone()], ControlCharacter);
    check("text\n", Vec::new(), Unsigned);
    check("text\n", vec![good.clone(), good.clone()], SignedTwice);
    check("text\n", vec![sign("text\n", "a b", &key(1))], SignatureLine);
    check("text\n", vec![NoteSignature::new("log", NoteKeyId([0; 4]), &[])], SignatureLine);
    check(&format!("{}\n", "x".repeat(NOTE_MAX)), vec![good], TooLong);
}

#[test]
fn known_signatures_verify_and_unknown_ones_are_ignored() {
    let text = "text\n";
    let note = SignedNote::new(text, vec![sign(text, "a", &key(1)), sign(text, "b", &key(2))]).unwrap();
    let check = |known: &[VerifierKey], expected: Result<Vec<&str>, NoteVerifyError>| {
        let verified = note.verify(known);
        assert_eq!(verified.map(|all| all.iter().map(|one| one.key.name()).collect()), expected);
    };
    check(&[verifier("a", 1)], Ok(vec!["a"]));
    check(&[verifier("b", 2), verifier("a", 1), verifier("c", 3)], Ok(vec!["a", "b"]));
    check(&[verifier("a", 1), verifier("a", 1)], Ok(vec!["a"]));
    check(&[], Err(NoteVerifyError::NoKnownKey));
    // The same key under another name, and another key under the same name, are strangers.
    check(&[verifier("c", 1), verifier("a", 2)], Err(NoteVerifyError::NoKnownKey));
}

#[test]
fn one_bad_signature_of_a_known_key_spoils_the_note() {
    let text = "text\n";
    let stolen = NoteSignature::new("b", verifier("b", 2).id(), sign(text, "b", &key(3)).bytes());
    let note = SignedNote::new(text, vec![sign(text, "a", &key(1)), stolen]).unwrap();
    assert_eq!(note.verify(&[verifier("a", 1)]).map(|all| all.len()), Ok(1));
    assert_eq!(note.verify(&[verifier("a", 1), verifier("b", 2)]), Err(NoteVerifyError::BadSignature));
    let short = NoteSignature::new("a", verifier("a", 1).id(), &[0; 63]);
    let note = SignedNote::new(text, vec![short]).unwrap();
    assert_eq!(note.verify(&[verifier("a", 1)]), Err(NoteVerifyError::BadSignature));
}

#[test]
fn two_known_keys_with_one_name_and_id_are_ambiguous() {
    // Found by search: under the name "log" the keys of these two seeds share their four-byte id.
    let key = |number: u32| {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        SigningKey::from_seed(&seed)
    };
    let known = [32_003, 82_289]
        .map(|number| VerifierKey::new("log", SignatureType::Ed25519, key(number).verifying_key()).unwrap());
    assert_eq!(known[0].id(), known[1].id());
    let note = SignedNote::new("text\n", vec![sign("text\n", "log", &key(32_003))]).unwrap();
    assert_eq!(note.verify(&known[..1]).map(|all| all.len()), Ok(1));
    assert_eq!(note.verify(&known[1..]), Err(NoteVerifyError::BadSignature));
    assert_eq!(note.verify(&known), Err(NoteVerifyError::AmbiguousKey));
}

fn any_signature() -> impl Strategy<Value = NoteSignature> {
    ("[!-*,-~äж]{1,20}", any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 1..80))
        .prop_map(|(name, id, bytes)| NoteSignature::new(&name, NoteKeyId(id), &bytes))
}

proptest! {
    #[test]
    fn made_notes_parse_as_themselves(
        text in "([ -~—ж]{0,20}\n){1,6}",
        signatures in prop::collection::vec(any_signature(), 1..8),
    ) {
        let made = SignedNote::new(&text, signatures);
        prop_assume!(made != Err(NoteError::SignedTwice));
        let note = made.unwrap();
        prop_assert_eq!(SignedNote::parse(&note.to_string()), Ok(note));
    }

    #[test]
    fn parsed_notes_print_as_themselves(note in "([ -~—]{1,8}\n){1,3}\n(— [a-c]{1,2} AAAA[AQgw]{3}=\n){1,3}") {
        match SignedNote::parse(&note) {
            Ok(parsed) => prop_assert_eq!(parsed.to_string(), note),
            Err(error) => prop_assert_eq!(error, NoteError::SignedTwice),
        }
    }

    #[test]
    fn changed_note_never_verifies(position in 0usize..110, bit in 0u8..8) {
        let text = "a log\n5\n";
        let good = SignedNote::new(text, vec![sign(text, "log", &key(1))]).unwrap().to_string();
        let mut bytes = good.into_bytes();
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        if let Some(note) = String::from_utf8(bytes).ok().and_then(|text| SignedNote::parse(&text).ok()) {
            prop_assert!(note.verify(&[verifier("log", 1)]).is_err());
        }
    }
}
