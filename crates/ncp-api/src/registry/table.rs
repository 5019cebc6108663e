//! The table: number, name, exit code, HTTP status, title, cause, remedy, explanation. `{name}` is the place of an
//! argument. Order is by number; a new row goes where its number belongs.

use super::Exit;

macro_rules! error_codes {
    ($($number:literal $name:ident $exit:ident $status:literal $title:literal
        cause $cause:literal try $remedy:literal explain $explanation:literal;)+) => {
        /// An error of the registry. The variant's documentation is its title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorCode {
            $(#[doc = $title] $name,)+
        }

        impl ErrorCode {
            /// All errors, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The number behind `NCP-E`.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(Self::$name => $number,)+ }
            }

            /// The error with this number.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }

            /// The name in code.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// How a process ends because of it.
            #[must_use]
            pub fn exit(self) -> Exit {
                match self { $(Self::$name => Exit::$exit,)+ }
            }

            /// The HTTP status of its answer (RFC 9110, section 15).
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// What happened, with places.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// Why, with places.
            #[must_use]
            pub fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)+ }
            }

            /// What to do, with places.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }

            /// The paragraph of `ncpctl explain`.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)+ }
            }
        }
    };
}

error_codes! {
    // 1: configuration.
    1101 ConfigFileMissing Config 500 "the configuration file is missing"
        cause "there is no file {file}" try "name another with --config, or start from the shipped example"
        explain "The daemon reads one file and then the folder beside it with .d at its name. Without the file it does not know whose node it is, so it does not start. Nothing was changed.";
    1102 ConfigFileUnreadable Config 500 "the configuration file cannot be read"
        cause "{file}: {reason}" try "give the daemon's user read access to {file}"
        explain "The file exists, but the daemon's user cannot read it, or it is not a text file. The file may belong to root if the daemon's user can read it through its group.";
    1103 ConfigSyntax Config 500 "the configuration is not valid TOML"
        cause "{file}:{line}:{column}: {reason}" try "mend the line, then  ncpctl config check {file}"
        explain "A configuration file is TOML. The place is where the reader noticed the fault; the cause is often a missing quotation mark or bracket on the line before.";
    1104 ConfigUnknownKey Config 500 "the configuration has an unknown key"
        cause "{file}:{line}:{column}: nothing is called {key}{suggestion}" try "correct or remove the key, then  ncpctl config check {file}"
        explain "A misspelt key would silently leave a default in force, so every key that the daemon does not know stops the start. The message names the known key that looks most alike.";
    1105 ConfigValueOutOfRange Config 500 "a value of the configuration is out of range"
        cause "{file}:{line}:{column}: {key} = {value}, allowed is {range}" try "choose a value in the range, then  ncpctl config check {file}"
        explain "Each number has a range in which the system was tested; units stand in the key's name. The comments of the shipped file in config/ list ranges and defaults.";
    1106 ConfigValueInvalid Config 500 "a value of the configuration has the wrong form"
        cause "{file}:{line}:{column}: {key} must be {expected}" try "correct the value, then  ncpctl config check {file}"
        explain "The value has another type or form than the key asks for, for example a text where a number is expected, or a State's id in small letters.";
    1107 ConfigKeyMissing Config 500 "the configuration lacks a key that has no default"
        cause "{file}: {key} is not set" try "set {key}, then  ncpctl config check {file}"
        explain "Of the configuration, a node must name its participant and the hub's addresses, and each section that is there must be whole; the rest has defaults. This key is one of those that nobody can guess.";
    1108 ConfigConflict Config 500 "two values of the configuration contradict each other"
        cause "{file}:{line}:{column}: {key} does not go with {other}" try "change one of them, then  ncpctl config check {file}"
        explain "Each value is allowed by itself, but together they cannot work, for example two officers with one number or a limit above the limit it must stay below.";
    1109 ConfigLoopbackOnly Config 500 "a test network may use loopback addresses only"
        cause "the root of trust is of class test, and {key} = {address} is not a loopback address" try "use 127.0.0.1 or ::1, or join a network of class live"
        explain "Keys of a test network lie unprotected and its thresholds are low. So that a drill can never be mistaken for the real network, daemons under a test root refuse every address outside the machine.";
    1110 CredentialUnusable Config 500 "a credential of the service cannot be used"
        cause "{credential}: {reason}" try "look at LoadCredential= in  systemctl cat  of the unit; its source is a file of root's, mode 0600, with the passphrase in its first line"
        explain "The configuration says that systemd hands a secret to the daemon. It does so by a file that the daemon alone can read, in a folder that it names to the daemon. ncpctl keys install writes the drop-in that asks for it. Without the secret the keys stay sealed and the daemon does not start.";
    1111 LogFilterInvalid Config 500 "the filter of the log cannot be read"
        cause "NCP_LOG={filter}: {reason}" try "NCP_LOG=info, or a level for a part of the program:  NCP_LOG=info,ncp_store=debug"
        explain "The environment variable NCP_LOG chooses what the log says: error, warn, info, debug or trace, for everything or for a crate and its modules. Without it the level is info. A log that says less than was meant would be missed on a bad night, so a filter that cannot be read stops the start.";
    1201 ListenAddressInUse Later 500 "the address is in use"
        cause "another process listens on {address}" try "stop that process, or change {key}"
        explain "Only one process can listen on an address. Often the daemon already runs under systemd and was started a second time by hand.";
    1202 ListenAddressUnavailable Config 500 "the daemon cannot listen on the address"
        cause "{address}: {reason}" try "check that this machine has the address and that the port is above 1023"
        explain "The operating system refused the address: it is not one of this machine, or the port needs a privilege that the daemon does not have and should not be given.";
    1203 SocketInUse Later 500 "another daemon serves this API socket"
        cause "a process answers at {path}" try "stop it, or change {key}"
        explain "A socket file left behind by a crash is removed at the start; this one is alive, so a second daemon would take over another's control surface.";
    1204 SocketFolderUnusable Config 500 "the API socket cannot be made"
        cause "{path}: {reason}" try "make the folder with the daemon's user as owner, or change {key}"
        explain "The API listens on a Unix socket, which needs a folder in which the daemon may write. Under systemd RuntimeDirectory makes it. A path may not be longer than 107 bytes.";
    1301 DataFolderUnusable Config 500 "the data folder cannot be used"
        cause "{folder}: {reason}" try "correct data-dir if it is another; otherwise give it the daemon's user as owner and mode 0700"
        explain "The data folder holds journal, spool, index and keys. It must exist, belong to the daemon's user and be closed to all others. The daemon changes nothing in a folder that it refuses.";
    1302 DataFolderInUse Later 500 "the data folder is in use by another process"
        cause "process {pid} holds the lock of {folder}" try "stop that process; if it is the daemon, it already runs"
        explain "Two processes on one journal would destroy it, so the first takes a lock that the system releases when it ends. There is no lock file to delete.";
    1303 DataFolderNewer Config 500 "the data folder belongs to a newer version"
        cause "{folder} has format {found}; this program knows formats up to {known}" try "start the program of version {needed} or later"
        explain "A newer program wrote this folder. An older one would misread it, so it stops without changing a byte. Going back is possible only from the copy that the upgrade kept.";
    1304 DataFolderForeign Config 500 "the data folder belongs to another participant or network"
        cause "{folder} was made for {found}, this daemon is {expected} by its configuration and its root of trust" try "correct the configuration, or name another data folder"
        explain "A data folder belongs to one participant in one network for ever: its log names both. Mixing two would make evidence void.";
    1305 DataFolderRestored Config 500 "the data folder was put back from a backup"
        cause "{folder} bears the mark of a restored folder" try "read it with  ncpctl audit show;  to take part again:  ncpctl keys new-epoch --from {folder}"
        explain "Others may have seen more of this log than the backup holds. A daemon that went on from there would tell two histories of one log, which nobody could tell from fraud. The folder can be read and audited, and serves nobody. A participant goes on in a fresh folder and the next epoch of its log (docs/OPERATING.md, section 6); the hub cannot yet.";
    1901 InputNeeded Usage 400 "an answer is needed and nobody can be asked"
        cause "{what} is missing, and there is no terminal or --no-input is set" try "give {flag}"
        explain "On a terminal ncpctl asks for what is missing. In a script it never does; each question has a flag that answers it.";
    1902 ConfirmationNeeded Usage 400 "this cannot be undone and needs a confirmation"
        cause "{what}" try "repeat the command with --confirm={name}"
        explain "Commands that cannot be undone ask for the name of what they touch, so that a command from the history does not hit the wrong machine.";
    1903 UsageInvalid Usage 400 "the command line is not valid"
        cause "{reason}" try "{remedy}"
        explain "Two options contradict each other, or an option has a value that the command does not take. The command did nothing; its --help shows examples.";
    1904 Interrupted Interrupted 500 "interrupted from the keyboard"
        cause "somebody pressed Ctrl-C" try "run it again"
        explain "What the command had begun was ended and cleaned away. What a daemon had already acknowledged stands.";

    // 2: identity and keys.
    2101 KeyFileMissing Config 500 "the {what} is missing"
        cause "there is no file {file}" try "{remedy}"
        explain "A daemon or a command needs a private key whose file does not exist. Keys of a node are made once by ncpctl keys init; if they are lost, the participant needs new keys, which its identity or recovery key signs.";
    2102 KeyFileDamaged Config 500 "the {what} cannot be read"
        cause "{file} is not a key file of this program, or it is damaged" try "put back the copy from your backup"
        explain "The file is shorter, longer or other than a key file can be. A damaged key is never used in part.";
    2103 KeyFileExists Config 409 "there is a key file already"
        cause "{file} exists, and a key is never overwritten" try "name another file, or move the old one away if you are sure"
        explain "Overwriting a private key destroys the ability to open what was sealed to it, or to sign as its owner. Commands that make keys therefore only make new files.";
    2104 KeyFileOpenToOthers Config 500 "the {what} is readable by others"
        cause "{file} has mode {mode}; only its owner may read it" try "chmod 0600 {path}"
        explain "Whoever can read a private key can act as its owner. The file must belong to the user that runs the program and be closed to group and others. If others had access, replace the key.";
    2105 PassphraseWrong Denied 403 "the passphrase does not open the {what}"
        cause "{file} stays sealed under the passphrase that was given" try "try again, or name the right file with --passphrase-file"
        explain "The key is sealed with a key derived from its passphrase. A wrong passphrase and a damaged file look alike. There is no way around a lost passphrase: a new key has to be made and entered.";
    2106 KeyNotOfEntry Config 500 "the {what} is not the one in the directory"
        cause "{file} holds the key {found}, the directory entry names {expected}" try "install the keys that belong to the entry, or admit a new entry"
        explain "Others verify this participant by the keys in its directory entry. A daemon with other keys would produce signatures that nobody accepts, so it does not start.";
    2107 KeyExpired Config 500 "the {what} has expired"
        cause "it is valid until {until}, and no longer" try "ncpctl keys rotate  goes on with a participant's keys and certificate,  ncpctl hub renew  with the hub's certificate, membership and root of trust"
        explain "Keys and certificates have an end so that a stolen one does not serve for ever. Warnings come 30, 14, 7 and 1 days before.";
    2108 PassphraseEmpty Usage 400 "the passphrase is empty"
        cause "a key without passphrase is open to whoever copies its file" try "choose a passphrase, or say --no-passphrase on a machine for tests"
        explain "The passphrase is what protects an officer's key if the file is copied. It may be left out only on purpose.";
    2109 PassphraseFileUnusable Config 400 "the passphrase file cannot be used"
        cause "{file}: {reason}" try "write the passphrase into a file of mode 0600, or leave the option out to be asked"
        explain "A passphrase is read from the first line of a file that only its owner can read. It never stands on a command line or in the environment, where others could see it.";
    2110 KeyFileForeign Config 500 "the {what} belongs to another user"
        cause "{file} belongs to uid {owner}, and this program runs as another user" try "chown it to the user that runs the daemon, as the other files of that folder"
        explain "Whoever owns a file can read and replace it. A key file belongs to the user that runs the program, or to root, and to nobody else. If another user had it, think about who could have read it.";
    2111 KeysSealed Config 500 "the keys are sealed under a passphrase"
        cause "{file} says so, and no passphrase was given" try "set passphrase-credential in the configuration and LoadCredential= in the unit; for a command, --passphrase-file"
        explain "Whoever made these keys protected them: without the passphrase nobody opens them, and no daemon starts with them. The daemon takes it from a credential of systemd, never from its environment.";
    2112 KeysPassphraseWrong Config 500 "the passphrase does not open the keys"
        cause "{file} was made with another passphrase" try "put the passphrase that  keys init  or  hub init  was given into the file that LoadCredential= names"
        explain "The passphrase that was given is not the one under which the keys were made. There is no way around a lost passphrase; a backup of the same folder has the same one.";
    2113 KeyNotYetValid Config 500 "the {what} is not valid yet"
        cause "it is valid from {from}, and this machine's clock says {now}" try "compare the clock with a third one:  timedatectl;  if it is right, wait until then, or  ncpctl keys rotate --signing --again  makes another"
        explain "A clock was wrong when the key was made, or is wrong now. What a key signs outside its time is refused by everybody.";
    2201 OfficerKeyMissing Config 400 "your officer key is missing"
        cause "there is no file {file}" try "ncpctl keys init --officer, or name the file with --officer-key"
        explain "What an officer drafts, edits, approves, rejects, holds or withdraws is signed with the officer's own key. The private half never reaches the node; the public half is entered by ncpctl officers add.";
    2203 OfficerKeyOfAnother Denied 401 "this officer key belongs to another officer"
        cause "the request names officer {officer}, the key is that of officer {owner}" try "use your own key and number"
        explain "An officer acts with the key that was entered for that officer, and with no other. Two persons with one key would be one person to the rule that needs two.";
    2204 OfficerDisabled Denied 403 "officer {officer} is disabled"
        cause "a supervisor disabled this officer on {since}" try "speak to a supervisor of your contact point"
        explain "A disabled officer can neither draft nor approve. Approvals given before count only for messages that were released before.";
    2205 OfficerUnknown Denied 401 "no officer is known by this name or account"
        cause "officer {officer} is not in the officer table" try "ncpctl officers list  shows who is"
        explain "Officers are entered by number, Unix account and public key: two in the configuration at first, all others through the API with a second approval.";
    2206 OfficerAccountOther Denied 403 "the request came from another account than the officer's"
        cause "officer {officer} acts from uid {expected}, the request came from uid {found}" try "log in with your own account"
        explain "The kernel tells the node which account is at the other end of the socket. An officer acts from the account that stands in the officer table, so that a copied key alone is not enough.";
    2207 OfficerRoleMissing Denied 403 "your role does not allow this"
        cause "{action} needs the role {role}; officer {officer} has {roles}" try "ask an officer with role {role}"
        explain "A drafter writes, reads and assigns; a releaser approves and rejects; a supervisor sets holds, enters officers and pins the directory. One officer may have several roles, but never approves an own draft.";
    2208 OfficerSignatureBad Denied 401 "the officer's signature does not verify"
        cause "the signature of officer {officer} does not cover this request" try "update ncpctl; if it goes on, the request was changed on its way"
        explain "The signature covers method, path, time, a fresh number and the digest of the body. A request that was changed, or signed for another network, does not verify. Nothing was done.";
    2209 OfficerClockOff Denied 401 "the request's time is too far from the node's"
        cause "the request says {time}, the node's clock says {now}" try "set the clocks of both machines"
        explain "A signed request is good for two minutes, so that a recorded one cannot be played later. Here the two clocks differ by more.";
    2210 OfficerRequestReplayed Denied 401 "this signed request was seen before"
        cause "its fresh number was used at {time}" try "run the command again; it signs a new request"
        explain "Each signed request carries a number that is used once. The same bytes came twice: a retry by a tool in between, or somebody who recorded the first.";
    2211 OfficerNumberTaken Data 409 "number, account or key belongs to another officer"
        cause "{what} is that of officer {officer}" try "choose another:  ncpctl officers list  shows those that are taken"
        explain "The journal knows officers by number alone, and people by their keys. Given twice they would make it unclear who acted, so numbers and keys are never used again, also not those of disabled officers; an account is one enabled officer's.";
    2212 OfficerSecondNeeded Denied 403 "a second officer has to agree"
        cause "{action} needs the signatures of two supervisors; {count} was given" try "have another supervisor send the same with  ncpctl officers add"
        explain "Nobody appoints officers alone. Two supervisors send the same number, account, key and roles, each signed with an own key; the node takes it when both have.";
    2213 OfficerLastSupervisor Denied 409 "the last supervisors cannot be disabled"
        cause "fewer than two supervisors would be left, and entering an officer takes two" try "enter another supervisor first:  ncpctl officers add"
        explain "At least two enabled supervisors must remain, because changing the officer table takes two. Officers of the configuration count only at the first start, so nothing else could mend it.";
    2214 OperatorOnly Denied 403 "only this machine's operator may do this"
        cause "the request came from uid {found}" try "run it as root or as the daemon's user"
        explain "Operations on the daemon itself are for root and for the daemon's own account, which the kernel names at the other end of the socket.";
    2215 OfficerSignatureMissing Denied 401 "the request is not signed by an officer"
        cause "{action} is done in an officer's name" try "name your officer key with --officer-key"
        explain "Who reads content, drafts, approves or holds is named by a signature with the officer's own key, beside the account that the kernel names.";
    2216 OfficerLastReleaser Denied 409 "the last releaser cannot be disabled"
        cause "without officer {officer} nobody could release a message" try "enter another releaser first:  ncpctl officers add"
        explain "Nothing leaves without the approval of a releaser who did not draft it. Disabling cannot be undone, so one releaser must remain; a hold stops what should not leave meanwhile.";
    2217 NobodyReleases Config 503 "nothing can be released"
        cause "enabled are {drafters} who draft and {releasers} who release; it takes one of each, and two persons" try "two supervisors enter another officer:  ncpctl officers add"
        explain "Whoever drafted a message never releases it. With the officers that are enabled no message can get both, so none leaves this node.";
    2218 SupervisorsTooFew Config 503 "the officer table cannot be changed"
        cause "enabled supervisors: {count}; entering an officer takes two" try "keep the officers that are left; no command mends this"
        explain "Officers are entered by two supervisors. The configuration names them only at the first start, while the journal knows none.";
    2301 EntryInstalledAlready Config 409 "keys are installed already"
        cause "{folder} holds the entry {found}" try "name an empty folder, or go on with the keys that are there"
        explain "Making or installing keys twice would leave a node with keys that its directory entry does not name. Nothing was changed.";
    2302 AnswerForAnother Data 400 "the hub's answer is not for this node"
        cause "{file} answers the request of {found}, this node is {expected}" try "ask the hub's operator for the answer to your own request"
        explain "The answer holds a certificate for one key and one participant. Installing another's would produce a node that the hub refuses.";
    2303 JoiningFileInvalid Data 400 "the joining file is not valid"
        cause "{file}: {reason}" try "have it made and sent again"
        explain "A request or answer of joining is signed data. This file was damaged on its way, belongs to another network, or was made by another version.";
    2304 RoleKeysMissing Config 400 "the role keys here do not reach the threshold"
        cause "the role {role} needs {needed} signatures; keys for {found} are here" try "bring the other key files, or let their holders sign"
        explain "The root of trust says how many keys of a role must sign. Fewer signatures are refused by every node, so nothing was written.";

    2305 RoleTooWeak Usage 400 "a live network cannot stand on so few keys"
        cause "{reason}" try "leave the sizes of the roles out, or say --class test for a drill"
        explain "In a live network at least three of at least five States' keys name the keys of all roles, and two of at least three persons of the Secretariat sign the membership. Fewer would let too few hands substitute a participant.";

    2306 NetworkFileForeign Config 500 "a file of the network does not belong here"
        cause "{file}: {reason}" try "{remedy}"
        explain "Certificates, root of trust and entries came with joining and fit the keys that lie beside them. This one is of another participant or network, or damaged. Nothing was changed; the hub's answer still holds the right one.";

    // 3: link.
    3001 DaemonUnreachable Unavailable 503 "the daemon does not answer"
        cause "{socket}: {reason}" try "start the daemon ({unit}), or name its socket with --node"
        explain "ncpctl speaks to the daemon over its Unix socket. Nothing listens there: the daemon is stopped, still starting, or the path is another.";
    3002 DaemonForbidden Denied 403 "you may not use the daemon's socket"
        cause "{socket}: {reason}" try "have your account added to the group ncp-api, then log in again"
        explain "The socket is open to its group alone. Being in the group lets you ask; what you may do is decided by the officer table.";
    3003 DaemonAnswerUnreadable Bug 502 "the daemon's answer cannot be read"
        cause "{reason}" try "compare  ncpctl --version  with the daemon's version"
        explain "The answer is not what this version of ncpctl expects. Daemon and ncpctl of one release always understand each other, and neighbours of one number do.";
    3004 DaemonTimeout Unavailable 504 "the daemon took too long"
        cause "no answer within {seconds} s" try "look at  ncpctl doctor  and the daemon's log"
        explain "The daemon took the request but did not answer in time. A message may have been created all the same: repeat with the same idempotency key and it is not created twice.";
    3101 HubUnreachable Unavailable 503 "the hub cannot be reached"
        cause "{address}: {reason}" try "check network and firewall; the node goes on trying by itself"
        explain "The node dials the hub, never the other way round. An outage costs no message: they wait in the outbox until their own last date, and attempts do not count.";
    3102 PeerCertificateUntrusted Unavailable 502 "the peer's certificate is not from this network's authority"
        cause "{peer}: {reason}" try "compare the installed authority with the hub's operator; do not install another one unseen"
        explain "The certificate was issued by an authority that is not the one installed at joining. Somebody may stand in between, for example a proxy that opens TLS.";
    3103 CertificateExpired Config 502 "a certificate has expired"
        cause "the certificate of {peer} was valid until {until}" try "a participant's comes with the answer to what  ncpctl keys rotate  asks for, the hub's own from  ncpctl hub renew"
        explain "A certificate is valid for a limited time. The link stays down until it is renewed; messages wait.";
    3104 PinMismatch Unavailable 502 "the peer's key is not the one that the directory pins"
        cause "{peer} presented {found}" try "compare fingerprints with {peer} by telephone before you do anything"
        explain "The certificate is from the right authority, but its key is not in the peer's directory entry. Either the key was changed and the entry is not here yet, or the authority was abused. Nothing but signed directory data is exchanged.";
    3105 PeerOtherParticipant Unavailable 502 "the peer's certificate names another participant"
        cause "expected {expected}, the certificate says {found}" try "check the address in the configuration"
        explain "The certificate's URI names the participant. A peer that speaks for somebody else is cut off before a message is exchanged.";
    3106 TlsUnsuitable Unavailable 502 "the peer does not offer the required TLS"
        cause "{peer}: {reason}" try "update the peer; look for a proxy in between"
        explain "The link needs TLS 1.3 and certificates on both sides. There is no weaker mode to fall back to.";
    3107 NetworkDiffers Unavailable 502 "the peer belongs to another network"
        cause "{peer} is in network {found}, this daemon in {expected}" try "check address and root of trust"
        explain "Every signature and name carries the network's id, so drill traffic is void in production. A test node that dials the real hub ends here.";
    3108 VersionDiffers Unavailable 502 "the peer shares no protocol version"
        cause "{peer} speaks {found}, this daemon {known}" try "update the older side"
        explain "Daemons understand the present and the previous version of the protocol. Here the distance is larger.";
    3109 PeerViolation Unavailable 502 "the peer broke the protocol"
        cause "{peer}: {reason}" try "the link was closed; look at the peer's log"
        explain "A frame was too long, could not be decoded or came out of place. The peer is cut off, others are served, nothing of the frame was stored.";
    3110 PeerRefused Unavailable 502 "the peer refused the link"
        cause "{peer} said {reject}" try "see the reason; if it may pass, the node tries again by itself"
        explain "The other side closed the link with a reason of the protocol. Permanent reasons need somebody to act; transient ones pass.";
    3111 LinkRestricted Unavailable 502 "the hub exchanges nothing but directory data with this node"
        cause "{peer} said {reject}" try "compare this node's TLS key with its entry; the hub's operator admits a new entry with  ncpctl hub admit"
        explain "The certificate with which this node dials is from the right authority, but its key is not the one that the hub's directory has for this participant: the entry that names it was not admitted yet, or the certificate was renewed with a new key. No message leaves or arrives until an entry with the new key is admitted with  ncpctl hub admit; messages wait, and the link mends itself then.";
    3112 KeysInUseElsewhere Unavailable 502 "another process uses this node's keys"
        cause "{peer} took a newer link of this participant and ended this one" try "find the other machine or folder that runs as this participant, and stop it"
        explain "A participant has one link, and the newest one stands. Somebody else dials with this node's key and certificate: a copy of its data folder that runs beside it, most likely, or the machine that it was moved from. Two copies fork the log, after which one of them is void. If nobody of yours runs a second one, the keys were stolen: have the participant suspended.";
    3113 ClockDiffers Config 503 "this machine's clock differs from the hub's"
        cause "this machine's clock is {minutes} min {direction} the hub's" try "compare both with a third clock, and mend the time service of the one that is wrong:  timedatectl"
        explain "The hub says in a signed statement what time it has. What is sealed more than ten minutes ahead of its clock is refused, signatures and certificates count from their times, and a statement from the future is not believed.";
    3114 EnvelopeRefused Unavailable 503 "the hub does not take a message"
        cause "{reference} to {recipient}: HUB says {reject}; since {since}, offered again at {next}" try "{remedy}"
        explain "The hub looked at the sealed envelope and refused it for the reason that it names. Nothing is lost: the node offers it again until its last date. A reason that can never pass ends the attempt, and the message is shown as failed.";
    3115 ClockDoubted Config 503 "this machine's clock is not believed"
        cause "it jumped, or nobody has confirmed it since the start; nothing expires meanwhile" try "compare it with a third clock, and mend the time service:  timedatectl"
        explain "What expires is given up with signed evidence, so a clock that may be wrong makes nothing expire and refuses nothing as too old: both wait. A clock is believed while it runs evenly; after a jump, or a longer stop, once the hub says the same time (at a node), or two participants do (at the hub). A clock that is put right is believed again by itself.";
    3201 WaitTimeout Later 504 "still pending"
        cause "{reference} is {state} after {seconds} s" try "ncpctl status {reference}"
        explain "The message goes on; only the waiting ended. Nothing has to be sent again.";
    3202 PingUnanswered Unavailable 504 "the test message was not answered"
        cause "{peer}: {reason}" try "ncpctl doctor --only connection"
        explain "A test message runs through sealing, hub, opening and evidence like any other. The cause names the step at which its evidence stayed out.";

    // 4: national control and requests to the API.
    4001 RequestMalformed Data 400 "the request cannot be read"
        cause "{reason}" try "correct the request and send it again"
        explain "The body is not the JSON that this endpoint takes. Unknown members are refused, so that a misspelt one is not lost silently.";
    4002 EndpointUnknown NotFound 404 "there is no such endpoint"
        cause "{method} {path}" try "check the path, and whether node or relay is meant"
        explain "The daemon does not serve this path. Node and relay have different endpoints; a command for one does not work at the other.";
    4003 MethodNotAllowed Usage 405 "the endpoint does not take this method"
        cause "{method} {path}" try "use a method that the endpoint takes"
        explain "The path exists, but it does not take this method. Reading is GET, creating is POST, an edit is PATCH, lifting a hold is DELETE.";
    4004 RequestTooLarge Data 413 "the request is too large"
        cause "it has more than {limit} bytes" try "send attachments through /v1/blobs"
        explain "A JSON request has a limit. Files are streamed as blobs, which may be as large as a message.";
    4006 IdempotencyKeyReused Data 409 "the idempotency key was used with other content"
        cause "the key made {reference}, from another request" try "use a fresh key for a new message"
        explain "The same key with the same request gives the same message again. With another request it is a mistake of the caller, and guessing which one was meant could send the wrong message.";
    4007 RangeInvalid Data 416 "the range lies outside"
        cause "{range} of {length} bytes" try "ask for a range inside"
        explain "A part can be fetched in ranges of its bytes. This range begins behind its end or cannot be read.";
    4008 CursorUnknown Data 400 "the cursor is not known"
        cause "{cursor} was not given by this daemon" try "begin again without a cursor"
        explain "A cursor is what the daemon returned with the page before. After a restore old cursors are void.";
    4009 TooManyRequests Later 429 "too many requests"
        cause "{reason}" try "try again in {seconds} s"
        explain "One caller asks faster than the daemon serves it, so that others are served too.";
    4101 DeniedByDefault Denied 403 "no rule allows this message to leave"
        cause "nothing in the release rules covers {kind} with {handling} to {recipient}" try "choose another recipient or handling, or ask who keeps the rules"
        explain "Nothing leaves unless a rule of this State allows it. The rules name recipients, kinds and handling codes and say how many officers must approve. This message matches none of them.";
    4106 RestrictionNotAcknowledged Denied 403 "the restriction has to be acknowledged first"
        cause "{reference} is H3: {restriction}" try "read the restriction, then repeat with --acknowledge"
        explain "H3 is a restriction in the originator's own words. The content opens after the officer has said that the words were read; the journal holds who and when.";
    4107 RestrictionMissing Data 422 "handling H3 needs words"
        cause "H3 was chosen and no restriction is given" try "say what the recipient may not do with --restriction TEXT"
        explain "H3 stands for a restriction that no code covers, so it means nothing without its words.";
    4108 UrgentGroundMissing Data 422 "urgent needs a ground"
        cause "precedence urgent without one of the four grounds" try "--urgent-ground public-security, life-or-limb, deprivation-of-liberty or information-loses-relevance"
        explain "Urgent messages pass all others and start a clock of eight hours at the other side. The closed list of grounds is that of Directive (EU) 2023/977, article 4.";
    4109 HoldActive Later 409 "a hold stops this"
        cause "officer {officer} holds {scope} since {since}" try "it leaves by itself when the hold is lifted:  ncpctl hold list"
        explain "A hold stops what would leave within a second. Nothing is lost: what is queued stays queued, what waits at the hub is not touched.";
    4110 HoldUnknown NotFound 404 "there is no such hold"
        cause "nothing holds {scope}" try "ncpctl hold list"
        explain "Lifting needs the same scope with which the hold was set. Several holds may cover one message; each is lifted by itself.";
    4111 HoldExists Data 409 "this hold is set already"
        cause "officer {officer} holds {scope} since {since}" try "nothing has to be done"
        explain "The scope is held already. Nothing was changed, so that the record shows who set it first.";
    4201 NotWaitingForRelease Data 409 "the message does not wait for release"
        cause "{reference} is {state}" try "ncpctl release list"
        explain "Only a message that waits for release can be approved or rejected. It may have been released, withdrawn or sent back in the meantime.";
    4202 ReleaseCodeStale Denied 409 "the code is not the one of what waits now"
        cause "{code} was not given to you for this version of {reference}" try "ncpctl release show {reference}  and approve with the code it shows"
        explain "The code stands for exactly the version that release show displayed to this officer. It is another one for each officer and each version, so that nobody approves what was not seen.";
    4203 DrafterCannotRelease Denied 403 "you drafted this message, so you cannot release it"
        cause "approvals come from other persons than the drafter" try "ask an officer with role releaser ({count} enabled)"
        explain "Nothing leaves on one person's word alone. Whoever drafted or last edited a message never counts as an approver of it, whatever roles that officer has.";
    4204 ApprovedAlready Data 409 "you approved this message already"
        cause "officer {officer} approved {reference} before" try "another officer has to approve it"
        explain "Two approvals come from two persons. A second approval by the same officer changes nothing.";
    4205 ReleaseEditedMeanwhile Denied 409 "the message was edited after it was shown to you"
        cause "another revision of {reference} waits now than the one that you signed" try "ncpctl release show {reference}  and look at it again"
        explain "An edit voids all approvals and every code. What is approved is exactly what was shown.";
    4206 ApprovalSignatureBad Denied 403 "the approval's signature does not verify"
        cause "it does not cover commitment, recipients, precedence and last date of {reference}" try "ncpctl release show {reference}  and approve again"
        explain "The officer's key signs the content commitment, the recipients, the precedence and not-after. A signature over anything else approves nothing.";
    4301 MessageUnknown NotFound 404 "there is no such message"
        cause "{message} is neither sent nor received here" try "ncpctl inbox  and  ncpctl outbox  list what there is"
        explain "The reference or id is not one that this node sent or received. References look like XA-2026-000417; the message id works too.";
    4302 MessageStateWrong Data 409 "the message is in another state"
        cause "{action} is not possible while {reference} is {state}" try "ncpctl status {reference}"
        explain "Each step of a message follows another: an edit before release, a withdrawal before the answer, a response after receipt. This step does not follow the present one.";
    4303 PartUnknown NotFound 404 "the message has no such part"
        cause "{reference} has {count} parts; {part} is none of them" try "ncpctl show {reference}"
        explain "Parts are numbered from 1 in the order of the message.";
    4304 ContentErased NotFound 410 "the content was erased"
        cause "the content keys of {reference} were destroyed" try "ncpctl status {reference}  still shows the evidence"
        explain "Erasing destroys the keys of the content. What the journal says and its evidence remain; the content does not come back.";
    4305 NotAnswerable Data 409 "this message takes no response"
        cause "{reference} is a {kind}" try "use  ncpctl send --in-reply-to {reference}"
        explain "Responses belong to requests, calls and consent requests that this participant received.";
    4306 AnsweredAlready Data 409 "the request was answered already"
        cause "{answer} is the final answer to {reference}" try "send a notice, or withdraw the answer first"
        explain "A request has one final answer; partial ones and extensions may come before it.";
    4307 ReasonMissing Data 422 "a reason is missing"
        cause "a {status} needs a reason code" try "--reason CODE: {known}"
        explain "Refusals and extensions carry one reason of a closed list, so that the other side and the statistics can read them in any language.";
    4308 ReasonUnknown Data 422 "the reason is not in the list"
        cause "{reason} is not a reason for a {status}" try "choose one of: {known}"
        explain "The list of reasons is closed (Directive (EU) 2023/977, article 6). Words that explain may stand in the text.";
    4309 DateMissing Data 422 "a date is missing"
        cause "an extension says when the answer comes" try "--answer-by 2026-11-28T12:00Z"
        explain "An extension tells the requester how long it takes and why. Without a date it tells nothing.";
    4310 DateInvalid Data 422 "the date cannot be used"
        cause "{field} = {value}: {reason}" try "give a time in UTC such as 2026-11-28T12:00Z"
        explain "Times are in UTC. An answer cannot be due in the past, and a message lives between one minute and 30 days.";
    4311 ServiceUnknown NotFound 422 "there is no such service"
        cause "{service} is not among the national services of this node" try "choose one of: {known}"
        explain "National services are named in the node's configuration. A task can be given to one of those alone.";
    4312 TaskUnknown NotFound 404 "there is no such task"
        cause "{reference} has no task {task}" try "ncpctl show {reference}  lists its tasks"
        explain "A task is made when a request is assigned to a service; tasks are numbered from 1 within the request.";
    4313 RecipientsInvalid Data 422 "the recipients cannot be used"
        cause "{reason}" try "name 1 to 80 other participants, each once"
        explain "A message goes to at least one and at most 80 participants, never to its originator and never to the hub.";
    4314 KindNotAllowed Denied 403 "this participant may not send this kind"
        cause "{kind} is for {who}" try "choose another kind"
        explain "Bulletins, calls and proposals come from the Secretariat; States send requests, notices and the other kinds.";
    4315 FormUnknown Data 422 "there is no such form"
        cause "{form} is not a form of this node" try "choose one of: {known}"
        explain "Forms are schemas with a version that are shipped with the node. Both sides must know the version.";
    4316 FormFieldInvalid Data 422 "a field of the form is wrong"
        cause "{form}: {field} {reason}" try "correct the field;  ncpctl explain {form}  lists what each field holds"
        explain "A form has required fields and fields with closed lists, so that the other side can show its values in another language.";
    4317 SubjectInvalid Data 422 "the subject cannot be used"
        cause "{reason}" try "give one line of 1 to 512 bytes"
        explain "The subject is one line of text without control characters. It travels sealed; the hub never sees it.";
    4318 EmptyMessage Data 422 "the message has no content"
        cause "neither text nor form nor attachment is given" try "add --text, --file or --attach"
        explain "A message has at least one part: a text, a form or a file. A subject alone says too little to be released.";
    4319 ReplyTargetInvalid Data 422 "the message that this one answers cannot be used"
        cause "{reference}: {reason}" try "ncpctl show {reference}"
        explain "A reply names a message of the same conversation that this node sent or received, and carries its content commitment, so that it cannot be attached to another.";
    4320 ContributionMissing Data 422 "the contribution does not exist"
        cause "{reference}: {reason}" try "ncpctl show {reference}  lists tasks and contributions"
        explain "An answer can take over what services contributed. The named task has no contribution yet.";
    4401 AttachmentNameEmpty Data 422 "an attachment has no name"
        cause "attachment {number} has an empty name" try "give it a name with --attach NAME=PATH"
        explain "The name is what the recipient sees and saves under.";
    4402 AttachmentNamePath Data 422 "an attachment's name contains a path"
        cause "{name} would leave the folder in which it is saved" try "give a plain name with --attach NAME=PATH"
        explain "A name must not contain a slash, a backslash or be a dot name: at the other side it becomes the name of a file, and must not be able to choose its folder.";
    4403 AttachmentNameControl Data 422 "an attachment's name contains control characters"
        cause "{name}" try "give a plain name with --attach NAME=PATH"
        explain "Control characters and characters that turn the direction of writing can make one name look like another. They are refused at both sides.";
    4404 AttachmentNameTooLong Data 422 "an attachment's name is too long"
        cause "{name} has more than {limit} bytes" try "give a shorter name with --attach NAME=PATH"
        explain "Names have at most 200 bytes of UTF-8, so that every file system can hold them.";
    4405 AttachmentNameTwice Data 422 "two attachments have one name"
        cause "{name} is used twice" try "give one another name with --attach NAME=PATH"
        explain "Names of parts are unique in a message; the recipient could not save both.";
    4406 AttachmentTypeInvalid Data 422 "an attachment's media type is not valid"
        cause "{media_type}" try "leave the type out, or give one such as image/jpeg"
        explain "The media type is type, slash, subtype (RFC 9110, section 8.3.1), at most 100 characters.";
    4407 AttachmentTooMany Data 422 "there are too many attachments"
        cause "{count} parts, allowed are {limit}" try "put some of them into one archive"
        explain "A message has at most 64 parts, among them its text and its form.";
    4408 MessageTooLarge Data 413 "the message is too large"
        cause "{length} bytes, allowed are {limit}" try "send it in several messages"
        explain "A message has at most 1 GiB with all its parts.";
    4409 AttachmentMissing NotFound 404 "the file to attach cannot be opened"
        cause "{file}: {reason}" try "check the path"
        explain "The file does not exist, is not a plain file or cannot be read by you. Nothing was created.";
    4410 AttachmentChanged Io 409 "the file changed while it was being read"
        cause "{file}: {reason}" try "wait until it is complete, then send again"
        explain "The file was removed, cut, lengthened or changed between the first and the last byte. A message must hold what was checked, so nothing was created.";
    4411 BlobUnknown NotFound 404 "there is no such upload"
        cause "{blob} does not exist, or went after 24 h without a message" try "upload it again"
        explain "A file is uploaded first and then named in a message. Uploads that no message names are removed after a day.";
    4412 BlobMismatch Data 422 "the upload is not what was announced"
        cause "{reason}" try "upload it again"
        explain "Length or digest of the bytes that arrived differ from those in the headers. Nothing of it was kept.";
    4413 OutputExists Data 409 "a file would be overwritten"
        cause "{file} exists" try "{remedy}"
        explain "Nothing that is written out overwrites a file. What save has written has left the system; handling codes are no longer enforced by it.";

    // 5: storage and the daemon.
    5101 DiskFull Later 507 "the disk is nearly full"
        cause "{free} free, {needed} needed to go on" try "free space on the file system of {folder}"
        explain "New work is refused early, so that room remains for the evidence of what is under way. Nothing accepted is in danger. Work goes on by itself when there is room.";
    5102 StoreDamaged Io 500 "the store is damaged"
        cause "{folder}: {reason}" try "delete nothing; put back a backup of the folder"
        explain "Journal or spool hold bytes that do not agree with their checksums, not only at the end where a power cut can tear them. The daemon does not start, because guessing could hide a loss.";
    5103 StoreStopped Unavailable 503 "the store has stopped"
        cause "{reason}" try "look at the disk, restart the daemon; before you repeat anything, look whether it was done:  ncpctl release list"
        explain "A write or sync failed. After that nobody knows what is on the disk, so the daemon stops and finds out at the next start. What was answered before is safe. What was asked at that moment may have been done or not: a draft may wait for release although its command failed.";
    5104 StoreIo Io 500 "the store cannot be opened"
        cause "{folder}: {reason}" try "check permissions and the file system"
        explain "The operating system refused a file of the data folder.";
    5105 RecordMissing Io 500 "a record that the journal names is missing"
        cause "{record}" try "stop the daemon and put back a backup of the folder"
        explain "The journal says that something was stored that the spool does not have. That is damage; the backup has the record.";
    5106 RecordsLost Io 500 "single records of the store are lost"
        cause "{count}, among them {first}" try "look at the disk; see what is lost:  ncpctl audit verify; put back a backup of the spool"
        explain "Some bytes on the disk are not what was written. Each lost record costs the one message or proof that needs it: that is not sent, delivered or shown; everything else goes on. The daemon writes a record afresh if the same comes again.";
    5107 BallastGivenUp Later 507 "the room that was held for evidence is in use"
        cause "the ballast of {size} in {folder} was given up, or there was no room for it yet" try "free space on that file system at once"
        explain "On a full disk the daemon lets a file of its data folder go, so that the journal and evidence of what is under way can still be written. When that room is used up, it stops. Once there is space, it makes the file again by itself.";
    5108 DamageKept Io 500 "something damaged was moved aside"
        cause "{count} in {folder}, the first is {first}" try "read the log of the last starts; look what is lost:  ncpctl audit verify; remove them when you know"
        explain "A start found bytes that nobody wrote, or a torn end after a power cut, and kept a copy. Nothing reads it again, and nothing removes it: somebody has to look.";
    5109 BackupUnusable Data 400 "the backup cannot be used"
        cause "{file}: {reason}" try "take another backup; if none opens, look whether the keeper's key is the right one"
        explain "A backup is sealed as a whole for one keeper. This file is none, was made for another key, was damaged or cut off, or does not hold what its head says. Nothing that came out of it may be believed.";
    5201 ShuttingDown Unavailable 503 "the daemon is stopping"
        cause "it was asked to stop" try "try again in a moment"
        explain "A stopping daemon finishes what it began and takes nothing new.";
    5203 QuotaExceeded Later 429 "a quota is used up"
        cause "{what}: {used} of {limit}" try "try again when some of it was delivered"
        explain "Quotas keep one participant from filling the hub. They count what waits, so they free themselves.";
    5301 FileUnusable Io 400 "a file cannot be read or written"
        cause "{file}: {reason}" try "check path, permissions and free space"
        explain "The operating system refused a file that the command line names. What was written so far under a temporary name was removed.";
    5302 FileMissing NotFound 404 "there is no such file"
        cause "{file} does not exist" try "check the path"
        explain "A file or folder that the command line names is not there. Nothing was changed.";
    5303 ProgramMissing NotFound 500 "a program of this system is missing"
        cause "there is no {program} in {folder}" try "keep ncpctl, ncp-node and ncp-relay in one folder, as they are installed"
        explain "Some commands start the daemon's own program, so that its own reader judges its files. They look for it in the folder in which ncpctl itself lies, and nowhere else.";
    5901 InternalFault Bug 500 "a fault of this program"
        cause "{reason}" try "report it with the lines that the daemon logged at that moment"
        explain "Something happened that the program rules out. It is a bug; the log of the daemon holds the details, never content.";

    // 6: evidence.
    6101 ReceiptBad Data 422 "a receipt does not verify"
        cause "{receipt} of {reference}: {reason}" try "keep it as it is and compare with the other side"
        explain "The receipt's event, path, checkpoint and signature do not fit together, or it speaks of another envelope. It proves nothing. A receipt that the node stored was good when it came, so somebody or something changed it.";
    6102 ReceiptMissing NotFound 404 "a receipt is missing"
        cause "{receipt} of {reference} is not here" try "ncpctl status {reference}  shows how far it is"
        explain "The step has no evidence here yet, or it was never taken. What is not proved is shown as missing.";
    6103 EvidenceKeyUnchained Data 422 "a receipt's key is not in the directory"
        cause "{origin}: no entry that chains to the pinned one names its key" try "ncpctl directory show {participant}"
        explain "The receipt is signed, but by a key that the participant's directory entry does not lead to. It proves nothing until the entry is known.";
    6105 CheckpointBad Data 422 "a checkpoint does not verify"
        cause "{origin}: {reason}" try "fetch it again; if it stays bad, tell the log's owner"
        explain "A checkpoint is size and root of a log under the log key's signature (C2SP tlog-checkpoint). This one has no good signature.";
    6106 LogDamaged Data 500 "the log does not have the root that was signed"
        cause "{origin}: event {index}: {reason}" try "do not change the folder; compare with the backup"
        explain "Recomputing the tree from the events gives another root than the signed checkpoint. Some event was changed, lost or added after it was signed.";
    6107 OwnLogForked Config 503 "others hold a newer checkpoint of this log"
        cause "{peer} holds size {found}, here it ends at {size}" try "stop every copy of this folder; put back the newest one; if it is lost, a node begins again:  ncpctl keys new-epoch"
        explain "This data folder is not the newest state of its log: an old backup or a snapshot of the machine was put back, or a copy of the folder runs or ran as the same participant. Going on would fork the log, so the daemon signs nothing more, and no restart changes that. If another copy has gone on, that one is the log, and this one is to be put away.";
    6108 PeerForked Data 409 "a participant's log went two ways"
        cause "{peer} showed a log that excludes what it had shown before" try "tell the participant: an old copy of its data folder was put back, or two run"
        explain "The newest checkpoint of each participant's log is kept, and this participant has shown one that contradicts it. Its node stops by itself when it is shown what is kept; until then nothing that it signs can be relied on. Nothing has to be done at this side.";

    // 7: directory.
    7101 ParticipantUnknown NotFound 404 "there is no such participant"
        cause "the directory has no entry {participant}" try "ncpctl directory list"
        explain "Participants have short names of capital letters and digits, such as XA or SEC. A new one appears when the hub has admitted it and this node has fetched the entry.";
    7102 ParticipantNotPinned Denied 409 "the participant's fingerprint was not compared yet"
        cause "{participant} is in the directory, but nobody here has pinned it" try "compare by telephone, then  ncpctl directory pin {participant} --fingerprint …"
        explain "The hub could enter a key of its own under a State's name. So the first entry counts only after people on both sides have read its fingerprint to each other.";
    7103 FingerprintDiffers Data 409 "the fingerprint is another one"
        cause "{reason}" try "call {participant} again and compare; do not go on with what differs"
        explain "The entry that the hub delivered is not the one whose fingerprint you were told. Either a digit was misread or the entry was substituted. The fingerprint of what is here is not shown, so that nobody types it off the screen.";
    7104 ParticipantSuspended Denied 403 "the participant is suspended"
        cause "{participant}: {reason}" try "ask the Secretariat"
        explain "The Secretariat has closed this participant's access for a reason that the directory names. Nothing is sent to it and nothing accepted from it until that ends.";
    7105 DirectoryStale Unavailable 503 "the directory is too old"
        cause "its timestamp ended at {until}" try "look at the hub: ncpctl doctor --only connection"
        explain "A signed timestamp shows that nobody holds back newer entries. After it ends nothing new is sealed; what is sealed already travels on.";
    7106 MembershipInvalid Data 422 "the membership statement is not valid"
        cause "{reason}" try "if it has ended, its next version is signed at the hub:  ncpctl hub renew"
        explain "The list of members is signed by as many role keys as the root of trust asks for, each counted once.";
    7107 EntryInvalid Data 422 "a directory entry is not valid"
        cause "{participant} version {version}: {reason}" try "have it made and signed again"
        explain "An entry is signed by its participant's identity key, follows the version before and holds only distinct, sound keys.";
    7108 EntrySubstituted Data 409 "a directory entry was substituted"
        cause "{participant}: the entry does not lead back to the pinned one" try "call {participant}; tell the Secretariat and your auditors"
        explain "Somebody presents an entry that the participant's own keys did not sign. It is not used; what was known before stays in force.";
    7109 DirectoryRollback Data 409 "the directory went back"
        cause "version {found} came after version {known}" try "tell the hub's operator"
        explain "Older signed data was presented as new. It is not used.";
    7110 RootInvalid Config 500 "the root of trust is not valid"
        cause "{file}: {reason}" try "install the one that came with your joining answer"
        explain "The root of trust names the role keys of the network and is signed by them. Without it nothing can be verified, so the daemon does not start.";
    7112 PinnedOtherwise Data 409 "another fingerprint is pinned"
        cause "{participant} is pinned as {pinned}" try "call {participant} before anything else"
        explain "A pin is never replaced silently. If the participant lost all its keys and began anew, supervisors and the Secretariat have to agree on it first.";
    7113 NotMember Unavailable 403 "this participant is not admitted"
        cause "{participant} is not in the membership statement" try "send the joining request to the hub's operator"
        explain "A participant takes part after the hub has admitted its entry and the Secretariat has signed the membership.";
}
