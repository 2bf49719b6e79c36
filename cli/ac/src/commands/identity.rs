//! Who may do what as whom on the platform: its sessions, API tokens and people.
//!
//! Everything here is the platform's word. Secrets that it hands out once go to standard output alone, so that a script
//! can take them, and a note beside them says what they are.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Cx;
use super::listing::{Column, column, format_of_one, joined, print, text, wide};
use crate::args::{
    ChangeUsers, CreateToken, CreateUser, EndSessions, Preview, ResetPassword, RevokeTokens, Sessions, SessionsCommand,
    Tokens, TokensCommand, Users, duration,
};
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, segment, with_query};
use crate::output::Format;
use crate::text::Text;
use crate::ui::{cancelled, secret_from_stdin};

const SESSIONS: &str = "/auth/v1/sessions";
const TOKENS: &str = "/auth/v1/accesstoken";
const USERS: &str = "/auth/v1/users";
const USER_KIND: &str = "user.auth.alauda.io";

const SESSION_COLUMNS: &[Column] = &[
    column("ID", |item, _| text(&item["id"])),
    column("USER", |item, _| text(&item["username"])),
    column("CLIENT", |item, _| text(&item["client"])),
    column("PROVIDER", |item, _| text(&item["provider"]["id"])),
    column("ADDRESS", |item, _| text(&item["clientAddress"])),
    column("LAST SEEN", |item, clock| clock.distance(&item["lastSeenTimestamp"])),
    column("EXPIRES", |item, clock| clock.distance(&item["expirationTimestamp"])),
    column("CURRENT", |item, _| mark(&item["current"])),
    wide("CREATED", |item, clock| clock.distance(&item["createdTimestamp"])),
    wide("SECOND FACTOR", |item, _| mark(&item["secondFactor"])),
    wide("AGENT", |item, _| text(&item["userAgent"])),
];

const TOKEN_COLUMNS: &[Column] = &[
    column("ID", |item, _| text(&item["id"])),
    column("DESCRIPTION", |item, _| text(&item["description"])),
    column("SCOPE", |item, _| scope(&item["scope"])),
    column("AGE", |item, clock| clock.distance(&item["timestamp"])),
    column("EXPIRES", |item, clock| clock.distance(&item["expiration"])),
    column("LAST USED", |item, clock| clock.distance(&item["lastUsed"])),
    wide("USER", |item, _| text(&item["username"])),
];

fn mark(value: &Value) -> String {
    if value.as_bool() == Some(true) { "*".to_owned() } else { String::new() }
}

/// What a token may do, in one word for each limit.
fn scope(scope: &Value) -> String {
    let reading = (scope["readOnly"] == true).then(|| "read-only".to_owned());
    let clusters = scope["clusters"].as_array().filter(|clusters| !clusters.is_empty());
    let clusters = clusters.map(|_| format!("clusters:{}", joined(&scope["clusters"], ",")));
    let limits: Vec<String> = reading.into_iter().chain(clusters).collect();
    if limits.is_empty() { "all".to_owned() } else { limits.join(" ") }
}

/// `kind/id` is understood where an id is, so that what `-o name` prints can be used.
fn id<'a>(kind: &str, word: &'a str) -> &'a str {
    word.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or(word)
}

/// Asks before much goes at once; off a terminal `--yes` must have said so.
pub fn agreed(cx: &Cx, yes: bool, question: &Text, needs_yes: impl FnOnce() -> Text) -> Result<()> {
    if yes {
        return Ok(());
    }
    match cx.ui.ask(question)? {
        Some(answer) if matches!(answer.to_lowercase().as_str(), "y" | "yes" | "是") => Ok(()),
        Some(_) => Err(cancelled()),
        None => Err(Error::told(needs_yes()).exit(Exit::Cancelled)),
    }
}

/// Does something to each, and goes on after a refusal; the last refusal decides the exit code.
pub async fn each<'a, F>(cx: &Cx, words: &'a [String], mut act: impl FnMut(&'a str) -> F) -> Result<i32>
where
    F: Future<Output = Result<()>>,
{
    let mut code = 0;
    for word in words {
        match act(word).await {
            Ok(()) => {}
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => {
                cx.ui.error(&error);
                code = error.exit_code();
            }
        }
    }
    Ok(code)
}

/// What is added to what was done when it was not.
fn suffix(preview: Preview) -> &'static str {
    match preview {
        Preview::None => "",
        Preview::Client => " (dry run)",
    }
}

/// Lists sessions, or ends some.
pub async fn sessions(cx: &Cx, args: &Sessions, now: Timestamp) -> Result<i32> {
    let endpoint = cx.platform().await?;
    if let Some(SessionsCommand::End(end)) = &args.command {
        return end_sessions(cx, &endpoint, end).await;
    }
    let mut pairs: Vec<(&str, &str)> = args.username.iter().map(|user| ("username", user.as_str())).collect();
    if args.all {
        pairs.push(("all", "true"));
    }
    let list = endpoint.get(with_query(SESSIONS, &pairs)).await?;
    print(cx, &args.list, SESSION_COLUMNS, &list, now, |item| format!("session/{}", text(&item["id"])))
}

async fn end_sessions(cx: &Cx, endpoint: &Endpoint, args: &EndSessions) -> Result<i32> {
    let (which, dry) = (&args.which, args.dry_run);
    if !which.ids.is_empty() {
        return each(cx, &which.ids, async |word| {
            let id = id("session", word);
            if dry == Preview::None {
                endpoint.send(&Ask::new(Method::DELETE, format!("{SESSIONS}/{}", segment(id)))).await?;
            }
            cx.ui.out_line(format!("session/{id} ended{}", suffix(dry)))
        })
        .await;
    }
    let pairs: Vec<(&str, &str)> = which.username.iter().map(|user| ("username", user.as_str())).collect();
    let list = endpoint.get(with_query(SESSIONS, &pairs)).await?;
    let ending = list["items"].as_array().into_iter().flatten();
    let ending: Vec<String> = ending
        .filter(|item| which.username.is_some() || item["current"] != true)
        .map(|item| text(&item["id"]))
        .collect();
    if ending.is_empty() {
        cx.ui.raw_note("No resources found");
        return Ok(0);
    }
    if dry == Preview::None {
        let count = ending.len().to_string();
        agreed(
            cx,
            args.yes,
            &match &which.username {
                Some(username) => Text::PromptEndSessionsOf { count, username: username.clone() },
                None => Text::PromptEndSessions { count },
            },
            || Text::NeedsYes {},
        )?;
        // One request: what was opened while somebody was asked goes too.
        endpoint.send(&Ask::new(Method::DELETE, with_query(SESSIONS, &pairs))).await?;
    }
    for id in ending {
        cx.ui.out_line(format!("session/{id} ended{}", suffix(dry)))?;
    }
    Ok(0)
}

/// Lists API tokens, creates one or revokes some.
pub async fn tokens(cx: &Cx, args: &Tokens, now: Timestamp) -> Result<i32> {
    match &args.command {
        Some(TokensCommand::Create(create)) => return create_token(cx, create, now).await,
        Some(TokensCommand::Revoke(revoke)) => return revoke_tokens(cx, revoke).await,
        None => {}
    }
    let pairs: Vec<(&str, &str)> = args.username.iter().map(|user| ("username", user.as_str())).collect();
    let list = cx.platform().await?.get(with_query(TOKENS, &pairs)).await?;
    print(cx, &args.list, TOKEN_COLUMNS, &list, now, |item| format!("token/{}", text(&item["id"])))
}

async fn create_token(cx: &Cx, args: &CreateToken, now: Timestamp) -> Result<i32> {
    let format = format_of_one(args.output.as_deref(), false)?;
    let expiration = expiry(&args.expires, now)?;
    let mut body = json!({"description": args.description, "expiration": expiration.to_string()});
    if args.read_only {
        body["scope"]["readOnly"] = true.into();
    }
    if !args.clusters.is_empty() {
        body["scope"]["clusters"] = args.clusters.clone().into();
    }
    let answer = cx.platform().await?.send(&Ask::new(Method::POST, TOKENS).json(&body)).await?.json()?;
    let token = answer["token"].as_str().filter(|token| !token.trim().is_empty());
    let token = token.ok_or_else(|| Error::told(Text::EmptyTokenFromServer {}))?;
    match format {
        Some(format) => cx.ui.out(&format.object(&answer)?)?,
        None => cx.ui.out_line(token)?,
    }
    cx.ui.note(&Text::TokenShownOnce { id: text(&answer["id"]), time: text(&answer["expiration"]) });
    Ok(0)
}

/// `30d`, a duration as elsewhere, or a time; it must lie ahead.
fn expiry(words: &str, now: Timestamp) -> Result<Timestamp> {
    let days = words.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()).and_then(|days| days.checked_mul(24));
    let span = match days {
        Some(hours) => SignedDuration::try_from_hours(hours),
        None => duration(words).and_then(|span| SignedDuration::try_from(span).ok()),
    };
    let time = match span {
        Some(span) => now.checked_add(span).ok(),
        None => words.parse().ok(),
    };
    let time = time.filter(|time| *time > now);
    time.ok_or_else(|| Error::usage(Text::BadExpiry { text: words.to_owned() }))
}

async fn revoke_tokens(cx: &Cx, args: &RevokeTokens) -> Result<i32> {
    let endpoint = &cx.platform().await?;
    each(cx, &args.ids, async |word| {
        let id = id("token", word);
        if args.dry_run == Preview::None {
            endpoint.send(&Ask::new(Method::DELETE, format!("{TOKENS}/{}", segment(id)))).await?;
        }
        cx.ui.out_line(format!("token/{id} revoked{}", suffix(args.dry_run)))
    })
    .await
}

/// `adm users`.
pub async fn users(cx: &Cx, command: &Users) -> Result<i32> {
    match command {
        Users::Create(create) => create_user(cx, create).await,
        Users::Disable(args) => change_users(cx, args, Method::POST, "disable", "disabled").await,
        Users::Enable(args) => change_users(cx, args, Method::POST, "enable", "enabled").await,
        Users::Unlock(args) => change_users(cx, args, Method::POST, "unlock", "unlocked").await,
        Users::RemoveSecondFactor(args) => {
            change_users(cx, args, Method::DELETE, "totp", "second factor removed").await
        }
        Users::ResetPassword(args) => reset_password(cx, args).await,
    }
}

async fn create_user(cx: &Cx, args: &CreateUser) -> Result<i32> {
    let format = format_of_one(args.output.as_deref(), true)?;
    if !args.email.contains('@') {
        return Err(Error::usage(Text::BadEmail { email: args.email.clone() }));
    }
    let mut body = json!({"email": args.email, "username": args.username.as_ref().unwrap_or(&args.email)});
    if let Some(name) = &args.display_name {
        body["displayName"] = name.as_str().into();
    }
    if args.admin {
        body["is_admin"] = true.into();
    }
    if !args.groups.is_empty() {
        body["groups"] = args.groups.clone().into();
    }
    if args.password_stdin {
        body["password"] = secret_from_stdin()?.into();
    }
    let user = cx.platform().await?.send(&Ask::new(Method::POST, USERS).json(&body)).await?.json()?;
    let password = user["password"].as_str().filter(|password| !password.is_empty());
    let printed = format!("{USER_KIND}/{}", text(&user["metadata"]["name"]));
    match (format, password) {
        (Some(Format::Name), _) => cx.ui.out_line(printed)?,
        (Some(format), _) => cx.ui.out(&format.object(&user)?)?,
        (None, Some(password)) => {
            cx.ui.raw_note(&format!("{USER_KIND}/{} created", args.email));
            cx.ui.out_line(password)?;
        }
        (None, None) => cx.ui.out_line(format!("{USER_KIND}/{} created", args.email))?,
    }
    if password.is_some() {
        cx.ui.note(&Text::PasswordShownOnce {});
    }
    Ok(0)
}

async fn change_users(cx: &Cx, args: &ChangeUsers, method: Method, what: &str, done: &str) -> Result<i32> {
    let format = format_of_one(args.output.as_deref(), true)?;
    let (endpoint, format) = (&cx.platform().await?, &format);
    each(cx, &args.users, async |word| {
        let mut user = find_user(endpoint, word).await?;
        let name = text(&user["metadata"]["name"]);
        if args.dry_run == Preview::None {
            let path = format!("{USERS}/{}/{what}", segment(&name));
            let answer = endpoint.send(&Ask::new(method.clone(), path).json(&json!({}))).await?;
            // What takes something away answers nothing.
            user = if answer.body.is_empty() { user } else { answer.json()? };
        }
        match format {
            Some(Format::Name) => cx.ui.out_line(format!("{USER_KIND}/{name}")),
            Some(format) => cx.ui.out(&format.object(&user)?),
            None => cx.ui.out_line(format!("{USER_KIND}/{} {done}{}", shown(&user), suffix(args.dry_run))),
        }
    })
    .await
}

async fn reset_password(cx: &Cx, args: &ResetPassword) -> Result<i32> {
    let endpoint = cx.platform().await?;
    let user = find_user(&endpoint, &args.user).await?;
    let done = format!("{USER_KIND}/{} password reset{}", shown(&user), suffix(args.dry_run));
    if args.dry_run != Preview::None {
        cx.ui.out_line(done)?;
        return Ok(0);
    }
    let body = match args.password_stdin {
        true => json!({"password": secret_from_stdin()?}),
        false => json!({}),
    };
    let path = format!("{USERS}/{}/password", segment(&text(&user["metadata"]["name"])));
    let answer = endpoint.send(&Ask::new(Method::POST, path).json(&body)).await?;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match answer["password"].as_str().filter(|password| !password.is_empty() && !args.password_stdin) {
        Some(password) => {
            cx.ui.raw_note(&done);
            cx.ui.out_line(password)?;
            cx.ui.note(&Text::PasswordShownOnce {});
        }
        None => cx.ui.out_line(done)?,
    }
    Ok(0)
}

/// What a person calls a user.
fn shown(user: &Value) -> String {
    match text(&user["spec"]["email"]) {
        email if email.is_empty() => text(&user["metadata"]["name"]),
        email => email,
    }
}

/// A user by the object's name, the e-mail address or the name they sign in with.
pub async fn find_user(endpoint: &Endpoint, word: &str) -> Result<Value> {
    let word = id(USER_KIND, word);
    match endpoint.get(format!("{USERS}/{}", segment(word))).await {
        Err(error) if error.is_not_found() => {}
        found => return found,
    }
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let pairs: &[(&str, &str)] = if next.is_empty() { &[] } else { &[("continue", &next)] };
        let mut list = endpoint.get(with_query(USERS, pairs)).await?;
        let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        found.extend(items.into_iter().filter(|user| is_called(user, word)));
        match list["metadata"]["continue"].as_str() {
            Some(more) if !more.is_empty() && more != next => next = more.to_owned(),
            _ => break,
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::told(Text::NoSuchUser { user: word.to_owned() })),
        _ => {
            let names: Vec<String> = found.iter().map(|user| text(&user["metadata"]["name"])).collect();
            Err(Error::told(Text::ManySuchUsers { user: word.to_owned(), names: names.join(", ") }))
        }
    }
}

fn is_called(user: &Value, word: &str) -> bool {
    let is = |field: &str| user["spec"][field].as_str().is_some_and(|value| value.eq_ignore_ascii_case(word));
    is("email") || is("username") || is("account")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    #[track_caller]
    fn check(words: &str, expect: Option<&str>) {
        let time = expiry(words, NOW.parse().unwrap()).ok().map(|time| time.to_string());
        assert_eq!(time.as_deref(), expect, "{words}");
    }

    #[test]
    fn an_end_is_a_number_of_days_a_duration_or_a_time_and_lies_ahead() {
        check("30d", Some("2026-01-31T00:00:00Z"));
        check("12h", Some("2026-01-01T12:00:00Z"));
        check("90m", Some("2026-01-01T01:30:00Z"));
        check("2026-02-01T00:00:00+08:00", Some("2026-01-31T16:00:00Z"));
        for bad in ["", "0d", "-1d", "d", "2025-12-31T00:00:00Z", "soon", "9999999999999999d", "300000000h"] {
            check(bad, None);
        }
    }

    #[test]
    fn limits_of_a_token_are_told_shortly() {
        assert_eq!(scope(&json!({})), "all");
        assert_eq!(scope(&Value::Null), "all");
        assert_eq!(scope(&json!({"readOnly": true, "clusters": ["a", "b"]})), "read-only clusters:a,b");
        assert_eq!(scope(&json!({"readOnly": false, "clusters": []})), "all");
    }

    #[test]
    fn names_that_were_printed_are_understood() {
        assert_eq!((id("session", "session/a"), id("session", "a"), id("token", "session/a")), ("a", "a", "session/a"));
    }

    #[test]
    fn a_user_is_known_by_address_and_name_alike() {
        let user = json!({"metadata": {"name": "0cc1"}, "spec": {"email": "Ada@example.com", "username": "ada"}});
        assert!(is_called(&user, "ada@EXAMPLE.com") && is_called(&user, "ada") && !is_called(&user, "ad"));
        assert!(!is_called(&json!({}), ""));
    }
}
