use super::*;
use crate::samples::{NETWORK, participant};

fn view() -> ApprovalView {
    ApprovalView {
        network: NETWORK,
        participant: participant("XA"),
        message: MessageId([3; 16]),
        commitment: Digest([4; 32]),
        recipients: vec![participant("XB"), participant("XC")],
        precedence: Precedence::Urgent,
        not_after: UnixMillis(5),
        officer: OfficerNumber(12),
    }
}

fn statement() -> ApprovalStatement {
    let code = approval_code(&[1; 32], &view().encode());
    ApprovalStatement { view: view(), decision: Decision::Approve, code }
}

#[test]
fn bytes_are_the_documented_ones() {
    let code = statement().code;
    let fields: &[&[u8]] = &[
        b"NCPA\x01\0\0\0",                                 // prefix
        &[7; 32],                                          // network
        b"XA\0\0\0\0\0\0",                                 // participant
        &[3; 16],                                          // message
        &[4; 32],                                          // commitment
        b"\x02\0\0\0\0\0\0\0XB\0\0\0\0\0\0XC\0\0\0\0\0\0", // recipients
        &[2, 0, 0, 0],                                     // precedence: urgent
        &[5, 0, 0, 0, 0, 0, 0, 0],                         // not after
        &[12, 0],                                          // officer
        &[0, 0, 0, 0],                                     // decision: approve
        code.as_str().as_bytes(),                          // code
    ];
    assert_eq!(statement().encode(), fields.concat());
    assert_eq!(ApprovalStatement::decode(&fields.concat()), Ok(statement()));
}

#[test]
fn signature_covers_view_decision_and_code() {
    let key = SigningKey::from_seed(&[2; 32]);
    let (public, signature) = (key.verifying_key(), statement().sign(&key));
    assert_eq!(statement().verify(&public, &signature), Ok(()));
    let bytes = statement().encode();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        if let Ok(other) = ApprovalStatement::decode(&changed) {
            assert_eq!(other.verify(&public, &signature), Err(BadSignature), "byte {place}");
        }
    }
    let stranger = SigningKey::from_seed(&[3; 32]).verifying_key();
    assert_eq!(statement().verify(&stranger, &signature), Err(BadSignature));
}

#[test]
fn recipients_are_sorted_unique_and_bounded() {
    let with = |recipients: Vec<ParticipantId>| ApprovalStatement {
        view: ApprovalView { recipients, ..view() },
        ..statement()
    };
    for recipients in [vec![], vec![participant("XC"), participant("XB")], vec![participant("XB"); 2]] {
        assert_eq!(ApprovalStatement::decode(&with(recipients).encode()), Err(ApprovalError::Recipients));
    }
    let most = with((0..80).map(|i| participant(&format!("S{i:03}"))).collect());
    assert_eq!(ApprovalStatement::decode(&most.encode()), Ok(most));
}

#[test]
fn code_belongs_to_one_view_and_secret() {
    // HMAC-SHA-256 of the view, first 20 bits, five at a time; computed with another implementation.
    let bytes = view().encode();
    let code = approval_code(&[1; 32], &bytes);
    let mac = hmac_sha256(&[1; 32], &[b"ncp/v1/approval-code\0", &bytes]).0;
    let bits = format!("{:08b}{:08b}{:08b}", mac[0], mac[1], mac[2]);
    let expected: String = (0..4)
        .map(|i| {
            let digit = usize::from_str_radix(&bits[5 * i..5 * i + 5], 2).expect("five bits");
            char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[digit])
        })
        .collect();
    assert_eq!(code.to_string(), expected);
    let other_view = ApprovalView { officer: OfficerNumber(13), ..view() };
    assert_ne!(code, approval_code(&[1; 32], &other_view.encode()));
    // The view begins with the network, so the label is bound to it as every other is.
    let labelled = [b"ncp/v1/approval-code\0".as_slice(), &view().network.0.0].concat();
    assert_eq!([b"ncp/v1/approval-code\0".as_slice(), &bytes].concat()[..labelled.len()], labelled);
    let other_network = ApprovalView { network: crate::ids::NetworkId(Digest([9; 32])), ..view() };
    assert_ne!(code, approval_code(&[1; 32], &other_network.encode()));
    assert_ne!(code, approval_code(&[2; 32], &bytes));
}

#[test]
fn code_is_read_as_people_type_it() {
    let read = |text: &str| text.parse::<ApprovalCode>().map(|code| code.to_string());
    assert_eq!(read("7q4k"), Ok("7Q4K".to_owned()));
    assert_eq!(read("OIL0"), Ok("0110".to_owned()));
    for bad in ["", "7Q4", "7Q4KK", "7Q4U", "7Q4-", "7Qä"] {
        assert_eq!(read(bad), Err(ApprovalCodeError), "{bad}");
    }
    assert!(crate::codec::decode::<ApprovalCode>(b"7q4k", 4).is_err(), "one form on the wire");
}

#[test]
fn officer_request_covers_every_field() {
    let request = OfficerRequest {
        network: NETWORK,
        participant: participant("XA"),
        officer: OfficerNumber(12),
        method: "POST".to_owned(),
        path: "/v1/messages".to_owned(),
        idempotency_key: "k".to_owned(),
        time: UnixMillis(5),
        body_sha256: Digest([6; 32]),
    };
    let key = SigningKey::from_seed(&[2; 32]);
    let (public, signature) = (key.verifying_key(), request.sign(&key));
    assert_eq!(request.verify(&public, &signature), Ok(()));
    let changes: [fn(&mut OfficerRequest); 8] = [
        |r| r.network = NetworkId(Digest([8; 32])),
        |r| r.participant = participant("XB"),
        |r| r.officer = OfficerNumber(13),
        |r| r.method = "GET".to_owned(),
        |r| r.path.push('?'),
        |r| r.idempotency_key.clear(),
        |r| r.time = UnixMillis(6),
        |r| r.body_sha256 = Digest([7; 32]),
    ];
    for change in changes {
        let mut other = request.clone();
        change(&mut other);
        assert_eq!(other.verify(&public, &signature), Err(BadSignature), "{other:?}");
    }
    // Neighbouring texts do not run into one another.
    let shifted = OfficerRequest { method: "POST/".to_owned(), path: "v1/messages".to_owned(), ..request };
    assert_eq!(shifted.verify(&public, &signature), Err(BadSignature));
}
