use super::*;

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let file = PathBuf::from("relay.toml");
    Config::parse(&[(file, text.to_owned())])
        .map_err(|faults| faults.iter().map(|fault| format!("{} {}", fault.code, fault.cause())).collect())
}

#[test]
fn the_shipped_file_equals_the_defaults_and_names_every_key() {
    let shipped = include_str!("../../../../config/relay.toml");
    assert_eq!(parse(shipped), parse(""));
    // Each key stands in the file, so that an operator never has to guess its name.
    let keys = ["listen", "data-dir", "api-socket", "connections-max", "idle-timeout-seconds", "free-min-mebibytes"];
    for key in keys.into_iter().chain(["log-format", "metrics-peers"]) {
        assert!(shipped.contains(&format!("\n{key} = ")), "{key}");
    }
    for key in ["originator-envelopes", "originator-mebibytes", "mailbox-envelopes", "mailbox-mebibytes"] {
        assert!(shipped.contains(&format!("\n{key} = ")), "{key}");
    }
    assert!(shipped.contains("\nwaiting-envelopes = ") && shipped.contains("\noriginator-envelopes-per-second = "));
}

#[test]
fn all_faults_are_found_in_one_run() {
    let text = "listn = \"[::1]:1\"\nlog-format = 7\n[quotas]\nmailbox-envelopes = 3\nwaiting = 5\n";
    assert_eq!(
        parse(text),
        Err(vec![
            "NCP-E1104 relay.toml:1:1: nothing is called listn; did you mean listen?".to_owned(),
            "NCP-E1106 relay.toml:2:14: log-format must be a text in quotation marks".to_owned(),
            "NCP-E1105 relay.toml:4:21: mailbox-envelopes = 3, allowed is 80 to 1000000"
                .replace("mailbox-envelopes", "quotas.mailbox-envelopes"),
            "NCP-E1104 relay.toml:5:1: nothing is called quotas.waiting".to_owned(),
        ])
    );
}

#[test]
fn a_key_in_the_wrong_place_is_recognised() {
    let faults = parse("originator-envelopes = 90").unwrap_err();
    assert!(faults[0].ends_with("did you mean quotas.originator-envelopes?"), "{faults:?}");
}

#[test]
fn forms_are_checked() {
    for (text, expected) in [
        ("listen = \"hub.example.org:4433\"", "an address and a port"),
        ("data-dir = \"here\"", "an absolute path"),
        ("log-format = \"xml\"", "\"text\" or \"json\""),
        ("connections-max = 2.5", "a whole number"),
        ("metrics-peers = \"no\"", "true or false"),
        (&format!("api-socket = \"/{}\"", "a".repeat(107)), "107 bytes"),
    ] {
        let faults = parse(text).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains(expected), "{faults:?}");
    }
}

#[test]
fn broken_toml_is_one_fault_with_its_place() {
    let faults = parse("listen = \"127.0.0.1:0\"\nlog-format = \n").unwrap_err();
    assert!(faults[0].starts_with("NCP-E1103 relay.toml:2:"), "{faults:?}");
}

#[test]
fn later_files_stand_over_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:1\"\nlog-format = \"json\"\n").unwrap();
    std::fs::create_dir(folder.path().join("relay.toml.d")).unwrap();
    let drop_in = |name: &str, text: &str| std::fs::write(folder.path().join("relay.toml.d").join(name), text).unwrap();
    drop_in("20-b.toml", "listen = \"127.0.0.1:3\"\n");
    drop_in("10-a.toml", "listen = \"127.0.0.1:2\"\n");
    drop_in("30-note.txt", "not read");
    let config = Config::load(&file).unwrap();
    assert_eq!((config.listen.port(), config.log_format), (3, LogFormat::Json));
    drop_in("40-c.toml", "lisen = 1\n");
    let faults = Config::load(&file).unwrap_err();
    assert!(faults[0].cause().contains("40-c.toml:1:1"), "{faults:?}");
}

#[test]
fn a_missing_file_has_its_own_code() {
    let faults = Config::load(Path::new("/nonexistent/relay.toml")).unwrap_err();
    assert_eq!(faults[0].code, ErrorCode::ConfigFileMissing);
}
