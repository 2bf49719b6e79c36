//! slapd as a program: given a directory, started on ports of its own, and ended with the test.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lib_tls::{Authority, Credential, Leaf, Subject};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::PASSWORD;

pub(crate) const READER: &str = "cn=reader,dc=example,dc=org";
pub(crate) const READER_PASSWORD: &str = "reads, and does no more";

/// What a test wants of its directory.
pub(crate) struct Setup {
    entries: String,
    settings: String,
    /// Who may read it, as slapd.conf says it.
    readers: String,
    certificate: Certificate,
}

/// What the server shows to prove who it is.
#[derive(Clone, Copy)]
pub(crate) enum Certificate {
    Right,
    Expired,
    OfAnotherAuthority,
    OfAnotherHost,
}

/// A running slapd.
pub(crate) struct Slapd {
    child: Child,
    ldap: Port,
    ldaps: Port,
    authority: Authority,
    _home: TempDir,
}

impl Setup {
    /// Nobody but the account that looks people up.
    pub(crate) fn empty() -> Self {
        let entries = format!(
            "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n\
             dn: {READER}\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: reader\n\
             userPassword: {READER_PASSWORD}\n\n\
             dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: ou=groups,dc=example,dc=org\nobjectClass: organizationalUnit\nou: groups\n\n"
        );
        let readers = format!("dn.exact=\"{READER}\"");
        Self { entries, settings: String::new(), readers, certificate: Certificate::Right }
    }

    /// Ann, whose password is [`PASSWORD`].
    pub(crate) fn ann() -> Self {
        Self::empty().person("ann", "")
    }

    /// Somebody with a mail address and [`PASSWORD`]; `more` are further lines of LDIF.
    pub(crate) fn person(self, uid: &str, more: &str) -> Self {
        let name = format!("uid={uid},ou=people,dc=example,dc=org");
        self.entry(&name, &format!("{}mail: {uid}@example.org\n{more}", person(uid)))
    }

    /// The same for a name that would have to be escaped in the name of the entry.
    pub(crate) fn odd_person(self, cn: &str, uid: &str) -> Self {
        let name = format!("cn={cn},ou=people,dc=example,dc=org");
        self.entry(&name, &format!("{}mail: {cn}@example.org\n", person(uid)))
    }

    /// A group of these members, by their whole names.
    pub(crate) fn group(self, cn: &str, members: &[&str]) -> Self {
        let mut lines = format!("objectClass: groupOfNames\ncn: {cn}\n");
        for member in members {
            writeln!(lines, "member: {member}").unwrap();
        }
        self.entry(&group(cn), &lines)
    }

    pub(crate) fn entry(mut self, dn: &str, lines: &str) -> Self {
        // A name in base64 needs no escaping of LDIF's own.
        write!(self.entries, "dn:: {}\n{lines}\n", STANDARD.encode(dn)).unwrap();
        self
    }

    /// Lines of slapd.conf, for the database.
    pub(crate) fn settings(mut self, lines: &str) -> Self {
        writeln!(self.settings, "{lines}").unwrap();
        self
    }

    pub(crate) fn read_by(self, readers: &str) -> Self {
        Self { readers: readers.to_owned(), ..self }
    }

    pub(crate) fn certificate(self, certificate: Certificate) -> Self {
        Self { certificate, ..self }
    }

    pub(crate) fn start(self) -> Slapd {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::generate("the directory's authority", SystemTime::now()).unwrap();
        let credential = self.certificate.issue(&authority);
        self.write(home.path(), &credential, &authority);
        self.load(home.path());
        let (ldap, ldaps) = (Port::reserve(), Port::reserve());
        let child = launch(home.path(), &ldap, &ldaps);
        Slapd { child, ldap, ldaps, authority, _home: home }
    }

    fn write(&self, home: &Path, credential: &Credential, authority: &Authority) {
        let file = |name: &str, text: &str| fs::write(home.join(name), text).unwrap();
        file("ca.pem", authority.certificate_pem());
        file("server.pem", credential.chain_pem());
        file("server.key", credential.key_pem());
        fs::create_dir(home.join("data")).unwrap();
        let home = home.display();
        let mut conf = String::new();
        for schema in ["core", "cosine", "inetorgperson", "nis"] {
            writeln!(conf, "include /etc/ldap/schema/{schema}.schema").unwrap();
        }
        write!(
            conf,
            "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload ppolicy\n\
             allow bind_anon_cred bind_anon_dn\n\
             TLSCACertificateFile {home}/ca.pem\nTLSCertificateFile {home}/server.pem\n\
             TLSCertificateKeyFile {home}/server.key\nTLSVerifyClient try\n\
             database mdb\nsuffix dc=example,dc=org\nrootdn cn=root,dc=example,dc=org\ndirectory {home}/data\nmaxsize 67108864\n\
             index objectClass,uid,mail,member eq\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by {} read by * none\n\
             {}\n",
            self.readers, self.settings
        )
        .unwrap();
        file("slapd.conf", &conf);
    }

    fn load(&self, home: &Path) {
        let mut slapadd = Command::new("/usr/sbin/slapadd")
            .args(["-q", "-f"])
            .arg(home.join("slapd.conf"))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Debian's package slapd");
        slapadd.stdin.take().unwrap().write_all(self.entries.as_bytes()).unwrap();
        let output = slapadd.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Certificate {
    fn issue(self, authority: &Authority) -> Credential {
        let leaf = Leaf::Server(vec!["localhost".into(), "127.0.0.1".into()]);
        let now = SystemTime::now();
        let issued = match self {
            Self::Right => authority.issue(&leaf),
            Self::Expired => authority.issue_at(&leaf, now - Duration::from_secs(2 * 365 * 24 * 60 * 60)),
            Self::OfAnotherAuthority => Authority::generate("another", now).unwrap().issue(&leaf),
            Self::OfAnotherHost => authority.issue(&Leaf::Server(vec!["ldap.example.com".into()])),
        };
        issued.unwrap()
    }
}

impl Slapd {
    pub(crate) fn ldaps(&self) -> String {
        format!("127.0.0.1:{}", self.ldaps.number)
    }

    pub(crate) fn ldap(&self) -> String {
        format!("localhost:{}", self.ldap.number)
    }

    /// As a connector has it.
    pub(crate) fn authority(&self) -> String {
        STANDARD.encode(self.authority.certificate_pem())
    }

    /// A certificate that it believes.
    pub(crate) fn client(&self) -> Credential {
        self.authority.issue(&Leaf::Client(Subject::new("acp", ["ldap"]))).unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What every person is made of but an address.
pub(crate) fn person(uid: &str) -> String {
    format!(
        "objectClass: inetOrgPerson\nuid:: {}\ncn: The person {uid}\nsn: {uid}\nuserPassword: {PASSWORD}\n",
        STANDARD.encode(uid)
    )
}

pub(crate) fn group(cn: &str) -> String {
    format!("cn={cn},ou=groups,dc=example,dc=org")
}

/// A port that nobody else is given: bound, not listened on, and so free for who asks for it by its number.
struct Port {
    number: u16,
    _bound: TcpSocket,
}

impl Port {
    fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { number: socket.local_addr().unwrap().port(), _bound: socket }
    }

    fn is_listened_on(&self) -> bool {
        std::thread::yield_now();
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.number)).is_ok()
    }
}

fn launch(home: &Path, ldap: &Port, ldaps: &Port) -> Child {
    let mut child = Command::new("/usr/sbin/slapd")
        .arg("-f")
        .arg(home.join("slapd.conf"))
        .args(["-h", &format!("ldap://127.0.0.1:{}/ ldaps://127.0.0.1:{}/", ldap.number, ldaps.number)])
        // It stays in the foreground, and says when it is ready.
        .args(["-d", "stats"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Debian's package slapd");
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    loop {
        let Some(Ok(line)) = log.next() else { panic!("slapd ended before it served:\n{told}") };
        told.push_str(&line);
        told.push('\n');
        if line.contains("slapd starting") {
            break;
        }
    }
    // Read on, so that slapd never waits for its log to be read.
    std::thread::spawn(move || log.for_each(drop));
    // It says so a moment before it listens.
    for port in [ldap, ldaps] {
        while !port.is_listened_on() {
            assert!(child.try_wait().unwrap().is_none(), "slapd ended before it served");
        }
    }
    child
}
