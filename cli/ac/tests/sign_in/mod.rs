//! Signing in, staying signed in and signing out, against a simulated platform with an issuer.

mod administering;
mod second_factor;
mod staying;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;

use crate::simulated::identity::{CODE, NEW_PASSWORD};
use crate::simulated::{PASSWORD, Platform, USER};
use crate::{Machine, Outcome};

/// A sign-in under way, as the person sees it.
struct Started {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
    seen: String,
}

impl Started {
    fn new(machine: &Machine, platform: &Platform, args: &[&str]) -> Self {
        let ca = machine.ca(platform);
        let all = [&["login", &platform.url, "--name", "prod", "--certificate-authority", &ca], args].concat();
        let mut command = machine.command(&all);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, seen: String::new() }
    }

    /// The first line on standard error with this in it.
    fn line_with(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "{part:?} does not appear in: {}", self.seen);
            self.seen.push_str(&line);
            if line.contains(part) {
                return line.trim_end().to_owned();
            }
        }
    }

    fn ends(mut self) -> Outcome {
        self.lines.read_to_string(&mut self.seen).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        Outcome { code: output.status.code().unwrap(), out, err: self.seen }
    }
}

/// What a browser gets from an address, without following it anywhere.
fn browse(platform: &Platform, url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let at = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = format!("GET {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(&at).unwrap();
    let mut answer = Vec::new();
    if url.scheme() == "http" {
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_end(&mut answer).unwrap();
    } else {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls_pki_types::CertificateDer::from_pem_slice(platform.ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = rustls_pki_types::ServerName::try_from(url.host_str().unwrap().to_owned()).unwrap();
        let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        stream.write_all(request.as_bytes()).unwrap();
        // The simulated platform may close without saying so.
        let _ = stream.read_to_end(&mut answer);
    }
    String::from_utf8(answer).unwrap()
}

/// Where the platform sends a browser after the person has signed in there.
fn redirected(platform: &Platform, url: &str) -> String {
    let answer = browse(platform, url);
    let location =
        answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{answer}"));
    location.to_owned()
}

/// Signs in through a browser.
fn signed_in(platform: &Platform, machine: &Machine) {
    let mut started = Started::new(machine, platform, &["--idp", "okta"]);
    let url = started.line_with("/dex/auth?");
    let page = browse(platform, &redirected(platform, &url));
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("You are signed in"), "{page}");
    let outcome = started.ends();
    assert_eq!(outcome.code, 0, "{}", outcome.err);
}

#[test]
fn case_44_the_browser_signs_in_and_no_secret_is_left_lying_about() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let mut started = Started::new(&machine, &platform, &["--idp", "okta", "-v=9"]);
    let url = started.line_with("/dex/auth?");
    assert!(url.contains("connector_id=okta"), "{url}");
    let page = browse(&platform, &redirected(&platform, &url));
    assert!(page.contains("You are signed in") && !page.contains("sesame"), "{page}");
    let outcome = started.ends();
    assert_eq!((outcome.code, outcome.out), (0, format!("✔ Login successful. Welcome, {USER}!\n")));
    assert!(!outcome.err.contains("sesame"), "{}", outcome.err);
    assert!(!std::fs::read_to_string(machine.kubeconfig()).unwrap().contains("sesame"));
    #[cfg(unix)]
    for file in machine.files() {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    assert_eq!(machine.ok(&["whoami"]), format!("{USER}\n"));
    assert_eq!(machine.run(&["get", "pods", "--cluster", "east"]).code, 0);
    for (line, _) in &platform.state.lock().unwrap().requests {
        assert!(!line.contains("sesame"), "{line}");
    }
}

#[test]
fn strangers_do_not_answer_for_the_browser() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let mut started = Started::new(&machine, &platform, &["--idp", "okta"]);
    let url = started.line_with("/dex/auth?");
    let answer = redirected(&platform, &url);
    let (address, _) = answer.split_once('?').unwrap();
    for guess in ["code=x&state=guess", "error=access_denied&state=guess", "error=access_denied", ""] {
        assert!(browse(&platform, &format!("{address}?{guess}")).starts_with("HTTP/1.1 400 "), "{guess}");
    }
    assert!(browse(&platform, &address.replace("/callback", "/")).starts_with("HTTP/1.1 404 "));
    assert!(browse(&platform, &answer).contains("You are signed in"));
    assert_eq!(started.ends().code, 0);
}

#[test]
fn a_refusal_in_the_browser_leaves_nothing_behind() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.denies = Some("access_denied"));
    let mut started = Started::new(&machine, &platform, &["--idp", "adfs"]);
    let url = started.line_with("/dex/auth?");
    let page = browse(&platform, &redirected(&platform, &url));
    assert!(page.contains("You are not signed in"), "{page}");
    let outcome = started.ends();
    assert_eq!(outcome.code, 4, "{}", outcome.err);
    assert!(outcome.err.ends_with("error: the sign-in was refused in the browser\n"), "{}", outcome.err);
    assert_eq!(machine.files(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_wait_in_good_order() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    for (way, shown) in [(&["--idp", "okta"][..], "/dex/auth?"), (&["--device-code"], "Waiting for the code")] {
        platform.issuer(|issuer| issuer.device_answers = ["authorization_pending"; 60].into());
        let mut started = Started::new(&machine, &platform, way);
        started.line_with(shown);
        std::process::Command::new("kill").args(["-INT", &started.child.id().to_string()]).status().unwrap();
        let outcome = started.ends();
        assert_eq!((outcome.code, outcome.out.as_str()), (2, ""), "{}", outcome.err);
        assert!(outcome.err.ends_with("error: cancelled\n"), "{}", outcome.err);
        assert_eq!(machine.files(), Vec::<String>::new());
    }
}

#[test]
fn a_password_is_not_taken_for_a_provider_with_a_page_of_its_own() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let outcome = with_password(&platform, &machine, &["--idp", "okta", "--password-stdin"], PASSWORD, &[]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.err.contains("\"okta\" signs people in on a page of its own"), "{}", outcome.err);
}

#[test]
fn a_code_that_the_platform_does_not_take_is_told_on_page_and_terminal() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let mut started = Started::new(&machine, &platform, &["--idp", "okta"]);
    let url = started.line_with("/dex/auth?");
    let answer = redirected(&platform, &url).replace("code=code-", "code=other-");
    assert!(browse(&platform, &answer).contains("You are not signed in"));
    let outcome = started.ends();
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("Error from server (invalid_grant)"), "{}", outcome.err);
    assert_eq!(machine.files(), Vec::<String>::new());
}

#[test]
fn case_35_a_device_shows_its_code_and_its_token_is_bound_to_it() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.device_answers = ["authorization_pending"].into());
    let outcome = Started::new(&machine, &platform, &["--device-code", "-v=9"]).ends();
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let shown = format!("On any device, open {}/dex/device\nand enter this code: BCDF-GHJK\n", platform.url);
    assert!(outcome.err.contains(&shown) && !outcome.err.contains("sesame"), "{}", outcome.err);
    assert_eq!(outcome.err.matches("Waiting for the code").count(), 1, "one line off a terminal: {}", outcome.err);
    assert_eq!(machine.ok(&["whoami"]), format!("{USER}\n"));
}

#[test]
fn a_device_code_that_is_denied_or_expires_says_so() {
    for (answer, words) in [("access_denied", "was refused in the browser"), ("expired_token", "has expired")] {
        let (platform, machine) = (Platform::with_issuer(), Machine::new());
        platform.issuer(|issuer| issuer.device_answers = [answer].into());
        let outcome = Started::new(&machine, &platform, &["--device-code"]).ends();
        assert_eq!(outcome.code, 4, "{}", outcome.err);
        assert!(outcome.err.contains(words), "{}", outcome.err);
        assert_eq!(machine.files(), Vec::<String>::new());
    }
}

/// Signs in with a name and the right password, and this besides.
fn with_password(platform: &Platform, machine: &Machine, args: &[&str], input: &str, vars: &[(&str, &str)]) -> Outcome {
    let ca = machine.ca(platform);
    let all = ["login", &platform.url, "--name", "prod", "--username", USER, "--certificate-authority", &ca];
    machine.run_with(&[&all[..], args].concat(), input, vars)
}

#[test]
fn a_provider_with_passwords_is_asked_through_the_platform() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let outcome = with_password(&platform, &machine, &["--idp", "corp", "--password-stdin"], PASSWORD, &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let state = platform.state.lock().unwrap();
    let sent = &state.requests.iter().find(|(line, _)| line == "POST /auth/v1/sessions").unwrap().1;
    assert_eq!(serde_json::from_str::<serde_json::Value>(sent).unwrap()["idp"], "corp");
}

#[test]
fn an_unknown_provider_gets_the_list_of_those_there_are() {
    let machine = Machine::new();
    for (platform, known) in [(Platform::with_issuer(), "local, corp, okta, adfs"), (Platform::start(), "local")] {
        let outcome = with_password(&platform, &machine, &["--idp", "nope", "--password-stdin"], PASSWORD, &[]);
        assert_eq!(outcome.code, 3, "{}", outcome.err);
        let expect = format!("error: identity provider \"nope\" is not known; these are: {known}\n");
        assert_eq!(outcome.err, expect);
    }
}

#[test]
fn a_second_factor_comes_from_standard_input_or_the_way_out_is_named() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.second_factor = true);
    let missing = with_password(&platform, &machine, &["--password-stdin"], PASSWORD, &[]);
    assert_eq!(missing.code, 4);
    assert!(missing.err.contains("a code of the second factor is needed\nhint: "), "{}", missing.err);
    assert!(missing.err.contains("--code-stdin"), "{}", missing.err);
    let password = [("AC_LOGIN_PASSWORD", PASSWORD)];
    let wrong = with_password(&platform, &machine, &["--code-stdin"], "000000\n", &password);
    assert_eq!((wrong.code, wrong.err.as_str()), (4, "error: the code of the second factor is wrong\n"));
    assert_eq!(machine.files(), Vec::<String>::new());
    let nothing = with_password(&platform, &machine, &["--code-stdin"], CODE, &[]);
    assert_eq!((nothing.code, nothing.err.contains("AC_LOGIN_PASSWORD is needed")), (3, true), "{}", nothing.err);
    let right = with_password(&platform, &machine, &["--code-stdin"], &format!("{CODE}\n"), &password);
    assert_eq!(right.code, 0, "{}", right.err);
}

#[test]
fn a_password_that_must_change_names_the_command_to_a_script() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.must_change = true);
    let outcome = with_password(&platform, &machine, &["--password-stdin"], PASSWORD, &[]);
    assert_eq!(outcome.code, 4);
    assert_eq!(
        outcome.err,
        format!(
            "error: the password must be changed first\nhint: on a terminal: ac login {} --name prod --username {USER}\n",
            platform.url
        )
    );
}

#[test]
fn a_token_that_lasts_minutes_is_not_written_into_a_kubeconfig() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    for way in [&["--device-code"][..], &["--idp", "okta"]] {
        let outcome = Started::new(&machine, &platform, &[&["--token-in-kubeconfig"], way].concat()).ends();
        assert_eq!(outcome.code, 3, "{}", outcome.err);
        assert!(outcome.err.contains("ac tokens create"), "{}", outcome.err);
    }
    assert_eq!(machine.files(), Vec::<String>::new());
    let outcome = with_password(&platform, &machine, &["--token-in-kubeconfig", "--password-stdin"], PASSWORD, &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(std::fs::read_to_string(machine.kubeconfig()).unwrap().contains("token: token-"));
}

#[test]
fn a_name_from_the_platform_does_not_steer_the_terminal() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.called = "eve\u{1b}]0;owned\u{7}\nerror: call 555");
    let outcome = with_password(&platform, &machine, &["--password-stdin"], PASSWORD, &[]);
    let expect = "✔ Login successful. Welcome, eve^[]0;owned\\u{7}\\nerror: call 555!\n";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, expect));
    let sessions = machine.ok(&["config", "get-sessions"]);
    assert!(sessions.lines().count() == 2 && !sessions.contains('\u{1b}'), "{sessions:?}");
    platform.state.lock().unwrap().clusters.clear();
    let nothing = with_password(&platform, &machine, &["--password-stdin"], PASSWORD, &[]);
    assert!(nothing.code == 1 && nothing.err.lines().count() == 1, "{}", nothing.err);
    assert!(!nothing.err.contains(['\u{1b}', '\u{7}']), "{}", nothing.err);
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_the_token_and_not_the_kubeconfig_keeps_neither() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let ca = machine.ca(&platform);
    // Four blocks: enough for a token, and not for clusters with their certificate authority.
    let line = format!(
        "trap '' XFSZ; ulimit -f 4; exec {} login {} --name prod --username {USER} --password-stdin \
         --certificate-authority {ca}",
        env!("CARGO_BIN_EXE_ac"),
        platform.url
    );
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &line]).env_clear().env("HOME", machine.home.path()).env("AC_LANG", "en");
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: could not write ") && said.contains("/.kube/config"), "{said}");
    assert_eq!(machine.files(), Vec::<String>::new());
    assert!(platform.state.lock().unwrap().tokens.is_empty(), "the session is ended");
}

/// Somebody who wants no notes sees whom they are asked to trust all the same.
#[cfg(unix)]
#[test]
fn a_fingerprint_is_shown_to_whoever_is_asked_about_it() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let line = format!("{} login {} --name prod --username {USER} -q", env!("CARGO_BIN_EXE_ac"), platform.url);
    let outcome = typed(&machine, &line, "", &[("Trust this certificate authority? [y/N] ", "n")]);
    assert_eq!(outcome.code, 2, "{}", outcome.out);
    let fingerprint = outcome.out.lines().find_map(|line| line.trim().strip_prefix("SHA-256: "));
    assert_eq!(fingerprint.map(str::len), Some(95), "{}", outcome.out);
}

#[test]
fn an_older_platform_has_no_page_to_sign_in_on() {
    let (platform, machine) = (Platform::start(), Machine::new());
    let outcome = Started::new(&machine, &platform, &["--device-code"]).ends();
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("cannot sign people in this way; use --username"), "{}", outcome.err);
}

/// `ac` in a terminal, with what a person types line by line once it is asked for.
#[cfg(unix)]
pub(crate) fn typed(machine: &Machine, line: &str, browser: &str, dialogue: &[(&str, &str)]) -> Outcome {
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--return", "--flush", "--command", line, "/dev/null"]).env_clear().envs([
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("TERM", "xterm"),
        ("SHELL", "/bin/sh"),
        ("AC_LANG", "en"),
        ("BROWSER", browser),
    ]);
    command.env("HOME", machine.home.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut seen, mut read) = (String::new(), 0);
    let mut more = |seen: &mut String| {
        let mut bytes = [0; 4096];
        let count = screen.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    };
    for (question, answer) in dialogue {
        while !seen[read..].contains(question) {
            assert!(more(&mut seen), "{question:?} does not appear: {seen}");
        }
        read += seen[read..].find(question).unwrap() + question.len();
        writeln!(keyboard, "{answer}").unwrap();
    }
    while more(&mut seen) {}
    let code = child.wait().unwrap().code().unwrap();
    Outcome { code, out: seen, err: String::new() }
}

#[cfg(unix)]
fn login_line(machine: &Machine, platform: &Platform, rest: &str) -> String {
    let ca = machine.ca(platform);
    format!("{} login {} --name prod --certificate-authority {ca} {rest}", env!("CARGO_BIN_EXE_ac"), platform.url)
}

#[cfg(unix)]
#[test]
fn at_a_terminal_the_browser_opens_by_itself() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    // A browser that is a person's in a hurry: signs in and follows.
    let opened = machine.home.path().join("opened");
    std::process::Command::new("mkfifo").arg(&opened).status().unwrap();
    let browser = machine.home.path().join("browser");
    crate::kubectl::script(machine.home.path(), "browser", &format!("echo \"$1\" > {}", opened.display()));
    let line = login_line(&machine, &platform, "");
    std::thread::scope(|scope| {
        let person = scope.spawn(|| {
            let url = std::fs::read_to_string(&opened).unwrap();
            browse(&platform, &redirected(&platform, url.trim()))
        });
        let outcome = typed(&machine, &line, browser.to_str().unwrap(), &[]);
        assert_eq!(outcome.code, 0, "{}", outcome.out);
        assert!(outcome.out.contains("/dex/auth?") && outcome.out.contains("Your browser opens"), "{}", outcome.out);
        assert!(person.join().unwrap().contains("You are signed in"));
    });
    assert_eq!(machine.ok(&["whoami"]), format!("{USER}\n"));
}

#[cfg(unix)]
#[test]
fn at_a_terminal_without_a_browser_or_on_an_older_platform_the_name_is_asked_for() {
    let dialogue = [("Username: ", USER), ("Password: ", PASSWORD)];
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    let outcome = typed(&machine, &login_line(&machine, &platform, ""), "/nowhere/browser", &dialogue);
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    assert!(outcome.out.contains("--device-code"), "{}", outcome.out);
    let (platform, machine) = (Platform::start(), Machine::new());
    let outcome = typed(&machine, &login_line(&machine, &platform, ""), "/bin/true", &dialogue);
    assert_eq!(outcome.code, 0, "{}", outcome.out);
}

#[cfg(unix)]
#[test]
fn at_a_terminal_the_code_and_a_new_password_are_asked_for_and_not_shown() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| (issuer.second_factor, issuer.must_change) = (true, true));
    let line = login_line(&machine, &platform, &format!("--username {USER}"));
    let outcome = typed(
        &machine,
        &line,
        "",
        &[
            ("Password: ", PASSWORD),
            ("Code of the second factor: ", "999999"),
            ("Code of the second factor: ", CODE),
            ("New password: ", NEW_PASSWORD),
            ("New password again: ", "something else"),
            ("New password: ", "too simple"),
            ("New password again: ", "too simple"),
            ("New password: ", NEW_PASSWORD),
            ("New password again: ", NEW_PASSWORD),
            ("Code of the second factor: ", CODE),
        ],
    );
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    for words in [
        "the code of the second factor is wrong",
        "the two passwords are not the same",
        "The request is invalid: newPassword: must have a letter",
    ] {
        assert!(outcome.out.contains(words), "{words} in {}", outcome.out);
    }
    for secret in [PASSWORD, CODE, "999999", NEW_PASSWORD, "too simple"] {
        assert!(!outcome.out.contains(secret), "{secret} in {}", outcome.out);
    }
}
