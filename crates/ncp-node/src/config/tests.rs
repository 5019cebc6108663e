use std::path::Path;

use super::*;

const SHIPPED: &str = include_str!("../../../../config/node.toml");

fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    Config::parse(&[(PathBuf::from("node.toml"), text.to_owned())])
}

fn minimal(more: &str) -> String {
    format!("participant = \"XA\"\nhub-addresses = [\"127.0.0.1:4433\"]\n{more}\n")
}

fn check(text: &str, expected: &[(ErrorCode, &str)]) {
    let faults = parse(text).expect_err(text);
    let found: Vec<(ErrorCode, String)> = faults
        .iter()
        .map(|fault| (fault.code, fault.args.get("key").or(fault.args.get("reason")).cloned().unwrap_or_default()))
        .collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((code, key), (expected, part)) in found.iter().zip(expected) {
        assert_eq!(code, expected, "{found:?}");
        assert!(key.contains(part), "{found:?}");
    }
}

#[test]
fn shipped_file_is_complete_and_equals_the_defaults() {
    let shipped = parse(SHIPPED).expect("the shipped file is valid");
    let bare = parse("participant = \"XA\"\nhub-addresses = [\"hub.example.org:4433\"]").expect("two keys are enough");
    assert_eq!(shipped, Config { file: shipped.file.clone(), officers: shipped.officers.clone(), ..bare });
    assert_eq!(shipped.officers.len(), 2);
    // Uncommented, the examples that are off by default are valid too.
    let all: String = SHIPPED
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with("[[allow]]") || rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) =>
            {
                rest
            }
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let all = parse(&all).unwrap_or_else(|faults| panic!("{faults:?}\n{all}"));
    let settings = all.settings;
    assert!(settings.proxy.is_some() && settings.officer_names_file.is_some() && settings.rules.rules().len() == 1);
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[test]
fn every_fault_is_reported_in_one_run_with_its_place() {
    let text = "participant = \"xa\"\nhub-adresses = []\nlifetime-days = 31\nlog-format = 7\n";
    let faults = parse(text).expect_err("four faults");
    let places: Vec<_> = faults.iter().map(|fault| (fault.code, fault.args.get("line").map(String::as_str))).collect();
    assert_eq!(
        places,
        [
            (ErrorCode::ConfigValueInvalid, Some("1")),
            (ErrorCode::ConfigKeyMissing, None),
            (ErrorCode::ConfigValueOutOfRange, Some("3")),
            (ErrorCode::ConfigValueInvalid, Some("4")),
            (ErrorCode::ConfigUnknownKey, Some("2")),
        ]
    );
    assert!(faults.iter().all(|fault| fault.exit().number() == 78));
    let unknown = faults.last().expect("five").cause();
    assert!(unknown.contains("hub-adresses; did you mean hub-addresses?"), "{unknown}");
}

#[test]
fn syntax_is_a_fault_with_a_place() {
    let faults = parse("participant = \"XA\nhub-addresses = [\"h:1\"]\n").expect_err("a quotation mark is missing");
    let first = faults.first().expect("one");
    assert_eq!((first.code, first.args.get("line").map(String::as_str)), (ErrorCode::ConfigSyntax, Some("1")));
}

#[test]
fn values_have_forms_and_ranges() {
    use ErrorCode::{ConfigConflict, ConfigKeyMissing, ConfigUnknownKey, ConfigValueInvalid, ConfigValueOutOfRange};
    check(&minimal("data-dir = \"relative\""), &[(ConfigValueInvalid, "data-dir")]);
    check(&minimal(&format!("api-socket = \"/{}\"", "x".repeat(107))), &[(ConfigValueInvalid, "api-socket")]);
    check(&minimal("proxy = \"no-port\""), &[(ConfigValueInvalid, "proxy")]);
    check(&minimal("services = [\"Border\"]"), &[(ConfigValueInvalid, "services")]);
    check(&minimal("blob-max-mebibytes = 0"), &[(ConfigValueOutOfRange, "blob-max")]);
    check(&minimal("blob-max-mebibytes = 9\nblobs-max-mebibytes = 8"), &[(ConfigConflict, "blobs-max")]);
    check(
        &minimal("[[officers]]\nnumber = 1"),
        &[
            (ConfigKeyMissing, "officers[0].uid"),
            (ConfigKeyMissing, "officers[0].public-key"),
            (ConfigKeyMissing, "officers[0].roles"),
        ],
    );
    check(
        &minimal("[[allow]]\nname = \"a\"\nto = \"all\"\nkinds = [\"test\"]\nhandling = [\"H9\"]\napprovals = 1"),
        &[(ConfigValueInvalid, "allow[0].handling"), (ConfigValueInvalid, "allow")],
    );
    check(
        &minimal("[[allow]]\nname = \"a\"\nto = []\nkinds = [\"test\"]\nhandling = [\"H0\"]\napprovals = 3\nfoo = 1"),
        &[(ConfigValueOutOfRange, "allow[0].approvals"), (ConfigUnknownKey, "allow[0].foo")],
    );
    check(
        &minimal("[[allow]]\nname = \"a\"\nto = \"all\"\nkinds = \"all\"\nhandling = \"all\"\napprovals = 1"),
        &[
            (ConfigValueInvalid, "allow[0].kinds"),
            (ConfigValueInvalid, "allow[0].handling"),
            (ConfigValueInvalid, "allow"),
        ],
    );
    check("participant = \"HUB\"\nhub-addresses = [\"h:1\"]", &[(ConfigValueInvalid, "participant")]);
}

#[test]
fn later_files_replace_single_keys() {
    let file = |name: &str, text: &str| (PathBuf::from(name), text.to_owned());
    let files = [file("a.toml", &minimal("lifetime-days = 3")), file("b.toml", "lifetime-days = 9\nunknwon = 1")];
    let faults = Config::parse(&files).expect_err("an unknown key in the second file");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].args.get("file").map(String::as_str), Some("b.toml"));
    let files = [files[0].clone(), file("b.toml", "lifetime-days = 9")];
    assert_eq!(Config::parse(&files).expect("valid").settings.limits.lifetime_days, 9);
}

#[test]
fn files_are_found_beside_the_file() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("node.toml");
    assert_eq!(Config::load(&file).expect_err("no file")[0].code, ErrorCode::ConfigFileMissing);
    std::fs::write(&file, minimal("")).expect("written");
    let extra = folder.path().join("node.toml.d");
    std::fs::create_dir(&extra).expect("made");
    for (name, days) in [("20.toml", 8), ("10.toml", 7), ("30.txt", 9)] {
        std::fs::write(extra.join(name), format!("lifetime-days = {days}")).expect("written");
    }
    assert_eq!(Config::load(&file).expect("valid").settings.limits.lifetime_days, 8);
    assert_eq!(Config::load(Path::new(folder.path())).expect_err("a folder")[0].code, ErrorCode::ConfigFileUnreadable);
}
