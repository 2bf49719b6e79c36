//! `second-factor`: codes of an authenticator app beside the password, of whoever is signed in.
//!
//! The secret is for the eyes of one person: it goes to the terminal that the question for its code stands on, or alone
//! to standard output for a script that asked for it, and nowhere else.

use serde_json::json;

use super::Cx;
use super::listing::format_of_one;
use crate::args::{DisableSecondFactor, EnableSecondFactor, Preview, SecondFactor};
use crate::error::{Error, Result};
use crate::output::table::harmless;
use crate::platform::{self, Enrolment, WRONG_CODE};
use crate::text::Text;
use crate::ui::secret_from_stdin;

/// How often a person may mistype a code.
const TRIES: u32 = 3;

/// `second-factor status|enable|disable`.
pub async fn second_factor(cx: &Cx, command: &SecondFactor) -> Result<i32> {
    match command {
        SecondFactor::Status { output } => status(cx, output.as_deref()).await,
        SecondFactor::Enable(args) => enable(cx, args).await,
        SecondFactor::Disable(args) => disable(cx, args).await,
    }
}

async fn status(cx: &Cx, output: Option<&str>) -> Result<i32> {
    let format = format_of_one(output, false)?;
    let enabled = platform::has_second_factor(&cx.platform().await?).await?;
    match format {
        Some(format) => cx.ui.out(&format.object(&json!({"enabled": enabled}))?)?,
        None => cx.ui.out_line(if enabled { "enabled" } else { "disabled" })?,
    }
    Ok(0)
}

async fn enable(cx: &Cx, args: &EnableSecondFactor) -> Result<i32> {
    if !args.secret_only && !args.code_stdin && !cx.ui.interactive() {
        return Err(Error::usage(Text::SecondFactorNeedsTerminal {}));
    }
    let code = if args.code_stdin { Some(secret_from_stdin()?) } else { None };
    let endpoint = cx.platform().await?;
    if let Some(code) = code {
        platform::accept_second_factor(&endpoint, code.trim()).await.map_err(wrong_code)?;
    } else {
        let enrolment = platform::propose_second_factor(&endpoint).await.map_err(|error| match error.reason() {
            Some("AlreadyExists") => Error::told(Text::SecondFactorExists {}).hint(Text::HintDisableSecondFactor {}),
            _ => error,
        })?;
        if args.secret_only {
            cx.ui.out_line(harmless(&enrolment.secret))?;
            cx.ui.note(&Text::SecretToConfirm {});
            return Ok(0);
        }
        set_up(cx, &enrolment, async |code| platform::accept_second_factor(&endpoint, &code).await).await?;
    }
    cx.ui.out_line("second-factor enabled")?;
    Ok(0)
}

async fn disable(cx: &Cx, args: &DisableSecondFactor) -> Result<i32> {
    let endpoint = cx.platform().await?;
    // From here on the session is good, so that a refusal is about the password.
    if !platform::has_second_factor(&endpoint).await? {
        cx.ui.note(&Text::SecondFactorAbsent {});
        return Ok(0);
    }
    if args.dry_run != Preview::None {
        cx.ui.out_line("second-factor disabled (dry run)")?;
        return Ok(0);
    }
    let password = match args.password_stdin {
        true => secret_from_stdin()?,
        false => cx
            .ui
            .ask_secret(&Text::PromptPassword {})?
            .ok_or_else(|| Error::usage(Text::NeedsValue { flag: "--password-stdin".to_owned() }))?,
    };
    if password.is_empty() {
        return Err(Error::usage(Text::EmptySecret {}));
    }
    platform::remove_second_factor(&endpoint, &cx.connector.session()?.username, &password).await?;
    cx.ui.out_line("second-factor disabled")?;
    Ok(0)
}

/// Shows a person what their app needs, and asks for its code until `confirm` takes one.
pub async fn set_up(cx: &Cx, enrolment: &Enrolment, mut confirm: impl AsyncFnMut(String) -> Result<()>) -> Result<()> {
    cx.ui.err_line(&Text::ScanSecret {}.render(cx.ui.lang()));
    cx.ui.qr(&enrolment.uri);
    cx.ui.err_line(&enrolment.uri);
    let secret = grouped(&enrolment.secret);
    cx.ui.err_line(&Text::SecretByHand { secret }.render(cx.ui.lang()));
    for left in (0..TRIES).rev() {
        let code = cx.ui.ask_secret(&Text::PromptCode {})?.unwrap_or_default();
        match confirm(code.trim().to_owned()).await {
            Err(error) if left > 0 && error.reason() == Some(WRONG_CODE) => cx.ui.warn(&Text::WrongCode {}),
            confirmed => return confirmed.map_err(wrong_code),
        }
    }
    unreachable!("the last try answers")
}

/// Four characters at a time, for whoever types them.
fn grouped(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    characters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

fn wrong_code(error: Error) -> Error {
    match error.reason() {
        Some(WRONG_CODE) => Error::told(Text::WrongCode {}),
        _ => error,
    }
}

#[test]
fn a_secret_is_easy_to_type() {
    assert_eq!(grouped("GEZDGNBVGY"), "GEZD GNBV GY");
    assert_eq!(grouped(""), "");
}
