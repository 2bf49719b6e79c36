//! Whether somebody may be here. Pure: an object, the rules and the time in, a verdict out.

use api_types::auth::{Activity, LOCAL, UserSpec, UserState};
use jiff::Timestamp;

use crate::FIRST_ADMINISTRATOR;

/// Why a user is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// An administrator has disabled the user.
    #[error("the user is disabled")]
    Disabled,
    /// The time in which the user may sign in has not begun or is over.
    #[error("the time in which the user may sign in is over, or has not begun")]
    OutsideValidity,
    /// The user has not signed in for too long.
    #[error("the user has not signed in for too long")]
    Inactive,
    /// The provider no longer knows the user.
    #[error("the provider no longer knows the user")]
    Unknown,
    /// The provider was removed.
    #[error("the provider of the user is gone")]
    ProviderGone,
    /// The provider is disabled.
    #[error("the provider of the user is disabled")]
    ProviderDisabled,
}

impl Barred {
    /// The state that it makes.
    pub(crate) fn state(self) -> UserState {
        match self {
            Self::Disabled | Self::OutsideValidity | Self::Inactive => UserState::Disabled,
            Self::Unknown | Self::ProviderGone | Self::ProviderDisabled => UserState::Invalid,
        }
    }

    /// The reason, as a condition says it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Disabled => "Disabled",
            Self::OutsideValidity => "OutsideValidity",
            Self::Inactive => "Inactive",
            Self::Unknown => "UnknownToProvider",
            Self::ProviderGone => "ProviderGone",
            Self::ProviderDisabled => "ProviderDisabled",
        }
    }
}

/// What is known of the provider that vouches for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderState {
    Enabled,
    Disabled,
    Gone,
}

/// What a verdict takes into account.
pub(crate) struct Circumstances {
    pub(crate) provider: ProviderState,
    /// A `DisableUser` names the user.
    pub(crate) suspended: bool,
    /// When the user came to be.
    pub(crate) created: Timestamp,
    /// After how many days without a sign-in a user is disabled; 0 for never.
    pub(crate) inactivity_days: i32,
    pub(crate) now: Timestamp,
}

pub(crate) fn standing(user: &UserSpec, around: &Circumstances) -> Result<(), Barred> {
    let now = around.now;
    if around.suspended || user.is_disabled == Some(true) || user.state == Some(Activity::Inactive) {
        return Err(Barred::Disabled);
    }
    if let Some(validity) = &user.expired {
        let (begin, end) = (validity.begin.as_ref(), validity.end.as_ref());
        if begin.is_some_and(|begin| begin.0 > now) || end.is_some_and(|end| end.0 <= now) {
            return Err(Barred::OutsideValidity);
        }
    }
    if !user.valid {
        return Err(Barred::Unknown);
    }
    if !is_local(user) {
        match around.provider {
            ProviderState::Enabled => {}
            ProviderState::Disabled => return Err(Barred::ProviderDisabled),
            ProviderState::Gone => return Err(Barred::ProviderGone),
        }
    }
    // The first administrator is who lets the others in again.
    if around.inactivity_days > 0 && user.email != FIRST_ADMINISTRATOR {
        let last = user.last_login_time.as_ref().map_or(around.created, |last| last.0.max(around.created));
        let days = now.duration_since(last).as_hours() / 24;
        if days >= i64::from(around.inactivity_days) {
            return Err(Barred::Inactive);
        }
    }
    Ok(())
}

/// Whether the platform keeps the user's password itself.
pub(crate) fn is_local(user: &UserSpec) -> bool {
    user.connector_id.as_deref().is_none_or(|id| id.is_empty() || id == LOCAL)
}

#[cfg(test)]
mod tests {
    use api_types::auth::Validity;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + n * 86_400).unwrap()
    }

    fn user() -> UserSpec {
        UserSpec { email: "ann@corp.io".into(), username: "ann".into(), valid: true, ..UserSpec::default() }
    }

    fn around() -> Circumstances {
        Circumstances {
            provider: ProviderState::Gone,
            suspended: false,
            created: day(0),
            inactivity_days: 90,
            now: day(10),
        }
    }

    #[track_caller]
    fn check(user: &UserSpec, around: &Circumstances, expect: Result<(), Barred>) {
        assert_eq!(standing(user, around), expect);
    }

    #[test]
    fn a_local_user_needs_no_provider() {
        check(&user(), &around(), Ok(()));
        let of_ldap = UserSpec { connector_id: Some("corp".into()), ..user() };
        check(&of_ldap, &around(), Err(Barred::ProviderGone));
        check(
            &of_ldap,
            &Circumstances { provider: ProviderState::Disabled, ..around() },
            Err(Barred::ProviderDisabled),
        );
        check(&of_ldap, &Circumstances { provider: ProviderState::Enabled, ..around() }, Ok(()));
    }

    #[test]
    fn administrators_and_dates_disable() {
        check(&UserSpec { is_disabled: Some(true), ..user() }, &around(), Err(Barred::Disabled));
        check(&UserSpec { state: Some(Activity::Inactive), ..user() }, &around(), Err(Barred::Disabled));
        check(&user(), &Circumstances { suspended: true, ..around() }, Err(Barred::Disabled));
        check(&UserSpec { valid: false, ..user() }, &around(), Err(Barred::Unknown));
        let between = |begin, end| UserSpec {
            expired: Some(Validity { begin: Some(Time(day(begin))), end: Some(Time(day(end))) }),
            ..user()
        };
        check(&between(5, 15), &around(), Ok(()));
        check(&between(5, 10), &around(), Err(Barred::OutsideValidity));
        check(&between(11, 15), &around(), Err(Barred::OutsideValidity));
    }

    #[test]
    fn long_absence_disables_all_but_the_first_administrator() {
        let later = |n| Circumstances { now: day(n), ..around() };
        check(&user(), &later(89), Ok(()));
        check(&user(), &later(90), Err(Barred::Inactive));
        check(&UserSpec { last_login_time: Some(Time(day(20))), ..user() }, &later(109), Ok(()));
        check(&UserSpec { last_login_time: Some(Time(day(20))), ..user() }, &later(110), Err(Barred::Inactive));
        check(&user(), &Circumstances { inactivity_days: 0, ..later(1000) }, Ok(()));
        check(&UserSpec { email: FIRST_ADMINISTRATOR.into(), ..user() }, &later(1000), Ok(()));
    }
}
