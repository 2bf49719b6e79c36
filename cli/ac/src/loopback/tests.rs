use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::text::Lang;

const HOST: &str = "127.0.0.1:7777";
const ISSUER: &str = "https://acp.example/dex";

fn expected(names_itself: bool) -> Expected {
    Expected::new("our-state", ISSUER, names_itself).unwrap()
}

fn judge(names_itself: bool, method: &Method, host: &str, target: &str) -> Verdict {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.parse().unwrap());
    expected(names_itself).judge(HOST, method, &target.parse().unwrap(), &headers)
}

#[track_caller]
fn check(target: &str, expect: Verdict) {
    assert_eq!(judge(false, &Method::GET, HOST, target), expect, "{target}");
}

const BAD: Verdict = Verdict::Stray(StatusCode::BAD_REQUEST);

#[test]
fn a_code_with_our_state_is_the_answer() {
    check("/callback?code=c%2B1&state=our-state", Verdict::Code("c+1".to_owned()));
}

#[test]
fn a_wrong_missing_or_doubled_state_is_no_answer() {
    check("/callback?code=c&state=another", BAD);
    check("/callback?code=c&state=our-stat", BAD);
    check("/callback?code=c&state=", BAD);
    check("/callback?code=c", BAD);
    check("/callback?code=c&state=our-state&state=our-state", BAD);
    check("/callback?code=c&code=d&state=our-state", BAD);
    check("/callback?state=our-state", BAD);
    check("/callback?code=c&error=access_denied&state=our-state", BAD);
    // Who does not know the state cannot end a sign-in either.
    check("/callback?error=access_denied&state=another", BAD);
    check("/callback?error=access_denied", BAD);
}

#[test]
fn a_refusal_is_an_answer_and_cannot_steer_the_terminal() {
    check(
        "/callback?error=access_denied&error_description=no%1b%5b31m&state=our-state",
        Verdict::Refused { error: "access_denied".to_owned(), description: "no^[[31m".to_owned() },
    );
}

#[test]
fn other_paths_and_methods_are_not_ours() {
    for path in ["/", "/favicon.ico", "/callback/", "/callback/x?code=c&state=our-state"] {
        check(path, Verdict::Stray(StatusCode::NOT_FOUND));
    }
    let posted = judge(false, &Method::POST, HOST, "/callback?code=c&state=our-state");
    assert_eq!(posted, Verdict::Stray(StatusCode::METHOD_NOT_ALLOWED));
}

#[test]
fn a_name_that_leads_here_is_refused() {
    let target = "/callback?code=c&state=our-state";
    for host in ["evil.example:7777", "evil.example", "localhost:7777", "127.0.0.1", "127.0.0.1:7778", "[::1]:7777"] {
        let verdict = judge(false, &Method::GET, host, target);
        assert_eq!(verdict, Verdict::Stray(StatusCode::MISDIRECTED_REQUEST), "{host}");
    }
    let absolute = judge(false, &Method::GET, HOST, &format!("http://evil.example{target}"));
    assert_eq!(absolute, Verdict::Stray(StatusCode::MISDIRECTED_REQUEST));
    let none = expected(false).judge(HOST, &Method::GET, &target.parse().unwrap(), &HeaderMap::new());
    assert_eq!(none, Verdict::Stray(StatusCode::MISDIRECTED_REQUEST));
}

#[test]
fn an_answer_by_another_issuer_does_not_count() {
    let ours = format!("/callback?code=c&state=our-state&iss={ISSUER}");
    let other = "/callback?code=c&state=our-state&iss=https://evil.example/dex";
    let silent = "/callback?code=c&state=our-state";
    for names_itself in [false, true] {
        assert_eq!(judge(names_itself, &Method::GET, HOST, &ours), Verdict::Code("c".to_owned()));
        assert_eq!(judge(names_itself, &Method::GET, HOST, other), Verdict::OtherIssuer);
    }
    assert_eq!(judge(true, &Method::GET, HOST, silent), Verdict::OtherIssuer);
}

#[test]
fn the_page_speaks_the_browsers_language() {
    for (wanted, expect) in [
        ("", Lang::En),
        ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
        ("en-GB,en;q=0.9,zh;q=0.1", Lang::En),
        ("fr,zh;q=0.5", Lang::Zh),
        ("en;q=0.2, zh-TW;q=0.7", Lang::Zh),
        ("de;q=nonsense,*", Lang::En),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, wanted.parse().unwrap());
        assert_eq!(page::language(&headers), expect, "{wanted}");
    }
}

/// A browser's request as bytes; what comes back.
async fn browse(host: &str, target: &str, language: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept-Language: {language}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

#[tokio::test]
async fn strangers_get_a_page_and_the_answer_gets_what_came_of_it() {
    let loopback = Loopback::open().await.unwrap();
    let host = loopback.host.clone();
    assert_eq!(loopback.redirect_uri(), format!("http://{host}/callback"));
    let waiting = tokio::spawn(loopback.answer(expected(false), DEADLINE));
    // Opened ahead, as browsers do, and never used.
    let _idle = TcpStream::connect(&host).await.unwrap();
    let stray = browse(&host, "/callback?code=stolen&state=guess", "en").await;
    assert!(stray.starts_with("HTTP/1.1 400 ") && !stray.contains("stolen"), "{stray}");
    assert!(browse(&host, "/favicon.ico", "en").await.starts_with("HTTP/1.1 404 "));
    let browser = {
        let host = host.clone();
        tokio::spawn(async move { browse(&host, "/callback?code=c&state=our-state", "zh-CN").await })
    };
    let (code, waiting) = waiting.await.unwrap().unwrap().code().await.unwrap();
    assert_eq!(code, "c");
    let began = std::time::Instant::now();
    waiting.tell(true).await;
    assert!(began.elapsed() < DELIVERY, "an idle connection keeps nobody waiting");
    let page = browser.await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<html lang=\"zh-CN\">"), "{page}");
    assert!(page.contains(&Text::PageSignedIn {}.render(Lang::Zh)), "{page}");
    for part in ["cache-control: no-store", "referrer-policy: no-referrer", "default-src 'none'", "</html>"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for part in ["our-state", "<script", "window.close"] {
        assert!(!page.contains(part), "{part} in {page}");
    }
    assert!(TcpStream::connect(&host).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn of_two_answers_one_counts() {
    let loopback = Loopback::open().await.unwrap();
    let host = loopback.host.clone();
    let waiting = tokio::spawn(loopback.answer(expected(false), DEADLINE));
    // Both connections stand before either answers.
    let (mut first, mut second) = (TcpStream::connect(&host).await.unwrap(), TcpStream::connect(&host).await.unwrap());
    let request = |code: &str| format!("GET /callback?code={code}&state=our-state HTTP/1.1\r\nHost: {host}\r\n\r\n");
    // A stray request shows that the second connection has been taken in.
    second.write_all(request("two").split_at(5).0.as_bytes()).await.unwrap();
    browse(&host, "/", "en").await;
    first.write_all(request("one").as_bytes()).await.unwrap();
    let (code, waiting) = waiting.await.unwrap().unwrap().code().await.unwrap();
    assert_eq!(code, "one");
    second.write_all(request("two").split_at(5).1.as_bytes()).await.unwrap();
    let mut late = String::new();
    second.read_to_string(&mut late).await.unwrap();
    assert!(late.starts_with("HTTP/1.1 410 "), "{late}");
    waiting.tell(false).await;
    let mut page = String::new();
    first.read_to_string(&mut page).await.unwrap();
    assert!(page.contains(&Text::PageNotSignedIn {}.english()), "{page}");
}

#[tokio::test]
async fn a_refusal_ends_the_sign_in_and_the_page_says_so() {
    for (answer, words) in [
        ("error=access_denied", "refused in the browser"),
        ("error=server_error&error_description=out+of+order", "server_error out of order"),
        ("code=c&iss=https://evil.example/dex", "another issuer"),
    ] {
        let loopback = Loopback::open().await.unwrap();
        let target = format!("/callback?state=our-state&{answer}");
        let host = loopback.host.clone();
        let browser = tokio::spawn(async move { browse(&host, &target, "en").await });
        let answered = loopback.answer(expected(false), DEADLINE).await.unwrap();
        let error = answered.code().await.err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
        assert!(browser.await.unwrap().contains(&Text::PageNotSignedIn {}.english()));
    }
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let loopback = Loopback::open().await.unwrap();
    let error = loopback.answer(expected(false), Duration::from_millis(20)).await.err().unwrap();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("no answer"), "{error}");
}
