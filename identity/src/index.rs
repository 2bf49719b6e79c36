//! Who is who, in memory, fed by watches: a request is authenticated without asking the API server.
//!
//! Whatever changes, the sessions of those it concerns are judged anew, and what no longer holds ends at that moment:
//! the next request is refused and streams that are open are closed.

mod follow;
mod tables;
mod users;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use api_types::auth::{
    AccessTokenInfo, DisableToken, DisableUser, Group, SECURITY_POLICY, SecurityPolicy, SecurityPolicySpec,
    User as UserObject,
};
use api_types::dex::{Connector, OAuth2Client};
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use lib_drain::Drain;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::tables::{Objects, Table};
use self::users::Users;
use crate::groups::Groups;
use crate::locks::{Lock, Locks};
use crate::objects::{Credentials, number};
use crate::session::{Grant, Kind, Stored};
use crate::standing::{Barred, Circumstances, ProviderState, is_local, standing};
use crate::token::TokenHash;
use crate::user::{User, md5_hex};
use crate::{Error, Unauthenticated};

/// Annotation of a `User`: when an administrator has forgiven what failed before.
pub(crate) const UNLOCKED: &str = "auth.cpaas.io/unlocked-at";
/// Annotation of a `User`: when it was disabled last. It is written in one with that, and stays when the user is enabled.
pub(crate) const DISABLED: &str = "auth.cpaas.io/disabled-at";
/// How long the first lists may take.
const LOAD: Duration = Duration::from_secs(30);
/// How long what was written here may take to come back in a list.
const ECHO: Duration = Duration::from_secs(60);
/// How many sessions are judged in one go when nothing presses.
const AT_ONCE: usize = 500;
/// How many changed users may wait to be heard of.
const NEWS: usize = 200;

/// What is known.
pub(crate) struct Index {
    state: RwLock<State>,
    /// E-mails of those of whom something has changed. When there is no room more are not told: whoever listens looks at
    /// everybody from time to time too.
    news: mpsc::Sender<String>,
}

#[derive(Default)]
pub(crate) struct State {
    users: Users,
    /// By e-mail.
    credentials: HashMap<String, (Credentials, Instant)>,
    group_objects: Objects<Group>,
    /// Worked out of them.
    groups: Groups,
    groups_are_old: bool,
    connectors: Objects<Connector>,
    clients: Objects<OAuth2Client>,
    suspensions: Objects<DisableUser>,
    refused_tokens: Objects<DisableToken>,
    policies: Objects<SecurityPolicy>,
    token_records: Objects<AccessTokenInfo>,
    locks: Locks,
    sessions: HashMap<TokenHash, Live>,
    /// By the identifier that people and signed tokens name a session by.
    ids: HashMap<String, TokenHash>,
    of_user: HashMap<String, HashSet<TokenHash>>,
    /// Sessions that were ended here: a late event does not bring them back.
    revoked: HashMap<TokenHash, Instant>,
    /// Sessions that are over and still stored: another replica may let them in. Told to whoever deletes them until they are
    /// gone.
    undeleted: HashMap<TokenHash, Arc<Stored>>,
    /// Everything was listed once. Before that nothing is judged, and nobody is let in.
    loaded: bool,
}

struct Live {
    stored: Arc<Stored>,
    seen: Arc<AtomicI64>,
    verdict: Result<Arc<Grant>, &'static str>,
    at: Instant,
}

/// Whom a change concerns.
pub(crate) enum Concerns {
    Nobody,
    User(String),
    Everybody,
}

impl State {
    fn policy(&self) -> SecurityPolicySpec {
        self.policies.get(SECURITY_POLICY).map(|policy| policy.spec.clone()).unwrap_or_default()
    }

    fn provider(&self, id: &str) -> ProviderState {
        match self.connectors.iter().find(|connector| connector.id == id) {
            Some(connector) if connector.spec.disabled => ProviderState::Disabled,
            Some(_) => ProviderState::Enabled,
            None => ProviderState::Gone,
        }
    }

    fn standing(&self, user: &UserObject, now: Timestamp) -> Result<(), Barred> {
        let spec = &user.spec;
        let object = user.metadata.name.as_deref().unwrap_or_default();
        let named = |suspended: &str| suspended == object || suspended.eq_ignore_ascii_case(&spec.email);
        let in_force = |until: &str| until.parse::<Timestamp>().map_or(true, |until| until > now);
        let mut suspensions = self.suspensions.iter().map(|object| &object.spec);
        let around = Circumstances {
            provider: spec.connector_id.as_deref().map_or(ProviderState::Gone, |id| self.provider(id)),
            suspended: suspensions.any(|one| named(&one.user) && in_force(&one.expiration)),
            created: user.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            inactivity_days: self.policy().inactivity_days.0,
            now,
        };
        standing(spec, &around)
    }

    /// As whom requests of a user go out.
    fn who(&self, user: &UserObject) -> Option<User> {
        let name = crate::user::email(&user.spec.email)?;
        Some(User { name, groups: self.groups.of_user(&user.spec), uid: user.uid().unwrap_or_default() })
    }

    /// Whether a session holds, as whom, and until when.
    fn judge(&self, stored: &Stored, now: Timestamp) -> Result<(User, Timestamp), &'static str> {
        if stored.expires <= now {
            return Err("the session has expired");
        }
        let user = self.users.get(&stored.username).ok_or("the user is gone")?;
        if user.uid().unwrap_or_default() != stored.user_uid {
            return Err("the user is another one of the same name");
        }
        if user.annotations().get(DISABLED) != stored.disabled.as_ref() {
            return Err("the user was disabled since it began");
        }
        if let Some(began_with) = &stored.password {
            let now = self.credentials.get(&stored.username).and_then(|(credentials, _)| credentials.fingerprint());
            if now.as_ref() != Some(began_with) {
                return Err("the user has another password");
            }
        }
        self.standing(user, now).map_err(|_| "the user may not sign in")?;
        // Somebody may have come through another provider than the one that the user is from.
        if stored.provider.id != api_types::auth::LOCAL && self.provider(&stored.provider.id) != ProviderState::Enabled
        {
            return Err("the provider is gone or disabled");
        }
        if matches!(stored.kind, Kind::ApiToken { .. }) && !self.token_records.contains(&stored.id()) {
            return Err("the record of the token is gone");
        }
        if let Some(md5) = &stored.token_md5
            && self.refuses(md5, now)
        {
            return Err("the token is disabled");
        }
        let mut until = stored.expires;
        if let Kind::Grant { parent: Some(parent), .. } = &stored.kind {
            let parent = self.by_id(parent).ok_or("the session that it came from is over")?;
            let grant = parent.verdict.as_ref().map_err(|_| "the session that it came from is over")?;
            until = until.min(grant.until);
        }
        if let Some(end) = user.spec.expired.as_ref().and_then(|validity| validity.end.as_ref()) {
            until = until.min(end.0);
        }
        let who = self.who(user).ok_or("the user has no name")?;
        Ok((who, until))
    }

    /// Whether a `DisableToken` names this token.
    pub(crate) fn refuses(&self, md5: &str, now: Timestamp) -> bool {
        self.refused_tokens.iter().any(|object| {
            object.spec.token_md5.eq_ignore_ascii_case(md5)
                && object.spec.expiration.parse::<Timestamp>().map_or(true, |until| until > now)
        })
    }

    fn by_id(&self, id: &str) -> Option<&Live> {
        self.sessions.get(self.ids.get(id)?)
    }

    fn judge_all(&mut self, concerned: &Concerns, now: Timestamp) {
        if !self.loaded {
            return;
        }
        if std::mem::take(&mut self.groups_are_old) {
            self.groups = Groups::of(self.group_objects.iter());
        }
        let hashes: Vec<TokenHash> = match concerned {
            Concerns::Nobody => return,
            Concerns::User(email) => self.of_user.get(email).into_iter().flatten().copied().collect(),
            Concerns::Everybody => self.sessions.keys().copied().collect(),
        };
        // Sessions that came from others are judged after those.
        let (own, children): (Vec<_>, Vec<_>) =
            hashes.into_iter().partition(|hash| !self.sessions.get(hash).is_some_and(|live| has_parent(&live.stored)));
        for hash in own.into_iter().chain(children) {
            self.judge_one(&hash, now);
        }
    }

    /// Whether the verdict of a session is another one by now.
    fn is_outdated(&self, hash: &TokenHash, now: Timestamp) -> bool {
        self.sessions.get(hash).is_some_and(|live| match (self.judge(&live.stored, now), &live.verdict) {
            (Ok((user, until)), Ok(old)) => !(old.user == user && old.until == until),
            (Err(_), Err(_)) => false,
            _ => true,
        })
    }

    fn judge_one(&mut self, hash: &TokenHash, now: Timestamp) {
        let Some(live) = self.sessions.get(hash) else { return };
        let verdict = self.judge(&live.stored, now);
        let verdict = match (verdict, &live.verdict) {
            (Ok((user, until)), Ok(old))
                if old.user == user && old.until == until && same(&old.stored, &live.stored) =>
            {
                return;
            }
            (Ok((user, until)), old) => {
                let lost = |old: &Grant| {
                    old.user.uid != user.uid || old.user.groups.iter().any(|group| !user.groups.contains(group))
                };
                let ended = match old {
                    // Whoever gains only goes on.
                    Ok(old) if !lost(old) && until >= old.until => old.ended.clone(),
                    Ok(old) => {
                        old.ended.cancel();
                        CancellationToken::new()
                    }
                    Err(_) => CancellationToken::new(),
                };
                Ok(Arc::new(Grant { user, stored: live.stored.clone(), until, seen: live.seen.clone(), ended }))
            }
            (Err(why), old) => {
                if let Ok(old) = old {
                    old.ended.cancel();
                }
                if self.is_final(&live.stored, old.is_ok(), now) {
                    // Whatever becomes of the user at once: what was seen to end is to be deleted.
                    self.undeleted.insert(*hash, live.stored.clone());
                    self.remove_session(hash);
                    return;
                }
                Err(why)
            }
        };
        if let Some(live) = self.sessions.get_mut(hash) {
            live.verdict = verdict;
        }
    }

    /// Whether a session that does not hold ends for good, because its user is disabled. A young one that never held here
    /// may only be ahead of the word that the user is enabled again.
    fn is_final(&self, stored: &Stored, held: bool, now: Timestamp) -> bool {
        let user = self.users.get(&stored.username).filter(|user| user.uid().unwrap_or_default() == stored.user_uid);
        let disabled = user.is_some_and(|user| self.standing(user, now) == Err(Barred::Disabled));
        let age = Duration::try_from(now.duration_since(stored.created)).unwrap_or_default();
        disabled && (held || age >= ECHO)
    }

    fn insert_session(&mut self, stored: Stored, now: Timestamp) {
        let hash = stored.token;
        if self.revoked.contains_key(&hash) || self.undeleted.contains_key(&hash) {
            return;
        }
        self.of_user.entry(stored.username.clone()).or_default().insert(hash);
        self.ids.insert(stored.id(), hash);
        let seen = stored.last_seen.as_second();
        match self.sessions.get_mut(&hash) {
            Some(live) => {
                live.seen.fetch_max(seen, Ordering::Relaxed);
                live.stored = Arc::new(stored);
                live.at = Instant::now();
            }
            None => {
                let live = Live {
                    stored: Arc::new(stored),
                    seen: Arc::new(AtomicI64::new(seen)),
                    verdict: Err("the session was not looked at"),
                    at: Instant::now(),
                };
                self.sessions.insert(hash, live);
            }
        }
        if self.loaded {
            self.judge_one(&hash, now);
        }
    }

    fn remove_session(&mut self, hash: &TokenHash) {
        let Some(live) = self.sessions.remove(hash) else { return };
        if let Ok(grant) = &live.verdict {
            grant.ended.cancel();
        }
        if let Some(own) = self.of_user.get_mut(&live.stored.username) {
            own.remove(hash);
            if own.is_empty() {
                self.of_user.remove(&live.stored.username);
            }
        }
        let id = live.stored.id();
        self.ids.remove(&id);
        // What came from it ends with it.
        let children: Vec<TokenHash> = self
            .of_user
            .get(&live.stored.username)
            .into_iter()
            .flatten()
            .filter(|hash| self.sessions.get(hash).is_some_and(|child| parent(&child.stored) == Some(&id)))
            .copied()
            .collect();
        for child in children {
            self.judge_one(&child, Timestamp::now());
        }
    }
}

fn parent(stored: &Stored) -> Option<&String> {
    match &stored.kind {
        Kind::Grant { parent, .. } => parent.as_ref(),
        _ => None,
    }
}

fn has_parent(stored: &Stored) -> bool {
    parent(stored).is_some()
}

/// Whether nothing that a grant shows has changed; when it was last used does not count.
fn same(a: &Arc<Stored>, b: &Arc<Stored>) -> bool {
    Arc::ptr_eq(a, b) || Stored { last_seen: b.last_seen, ..(**a).clone() } == **b
}

impl Index {
    /// The index, once everything was listed, and of whom something changes from then on.
    pub(crate) async fn start(client: &Client, drain: &Drain) -> Result<(Arc<Self>, mpsc::Receiver<String>), Error> {
        let (news, changed) = mpsc::channel(NEWS);
        let index = Arc::new(Self { state: RwLock::default(), news });
        let loaded = follow::all(client, drain, &index);
        match tokio::time::timeout(LOAD, loaded).await {
            Ok(true) => {}
            _ => return Err(Error::Load),
        }
        index.change(|state| {
            state.loaded = true;
            Concerns::Everybody
        });
        Ok((index, changed))
    }

    /// Changes what is known, judges the sessions of those whom it concerns, and tells of whom it was.
    fn change(&self, change: impl FnOnce(&mut State) -> Concerns) {
        let mut state = self.write();
        let concerned = change(&mut state);
        state.judge_all(&concerned, Timestamp::now());
        drop(state);
        if let Concerns::User(email) = concerned {
            let _ = self.news.try_send(email);
        }
    }

    pub(crate) fn user(&self, email: &str) -> Option<Arc<UserObject>> {
        self.read().users.get(email).cloned()
    }

    /// The groups of a user.
    pub(crate) fn groups_of(&self, email: &str) -> Vec<lib_names::GroupName> {
        let state = self.read();
        state.users.get(email).map(|user| state.groups.of_user(&user.spec)).unwrap_or_default()
    }

    /// The user whom a name means at one provider: the e-mail, or the name that the person signs in with.
    pub(crate) fn local_user(&self, name: &str) -> Option<Arc<UserObject>> {
        let name = name.trim().to_ascii_lowercase();
        let state = self.read();
        let by_email = state.users.get(&name).filter(|user| is_local(&user.spec));
        by_email.or_else(|| state.users.of_name(&name)).cloned()
    }

    /// The user as whom an account of a provider signs in.
    pub(crate) fn linked_user(&self, connector: &str, account: &str) -> Option<Arc<UserObject>> {
        self.read().users.of_account(connector, account).cloned()
    }

    /// The e-mail of whomever a name means; the name itself where it means nobody.
    pub(crate) fn email_of(&self, name: &str) -> String {
        self.read().users.email_of(name).unwrap_or(name).to_owned()
    }

    pub(crate) fn users(&self) -> Vec<Arc<UserObject>> {
        self.read().users.iter().cloned().collect()
    }

    pub(crate) fn credentials(&self, email: &str) -> Option<Credentials> {
        self.read().credentials.get(email).map(|(credentials, _)| credentials.clone())
    }

    pub(crate) fn standing(&self, user: &UserObject, now: Timestamp) -> Result<(), Barred> {
        self.read().standing(user, now)
    }

    pub(crate) fn policy(&self) -> SecurityPolicySpec {
        self.read().policy()
    }

    /// The providers that can be used, by their names.
    pub(crate) fn connectors(&self) -> Vec<Connector> {
        let mut all: Vec<_> = self.read().connectors.iter().cloned().collect();
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all
    }

    pub(crate) fn connector(&self, id: &str) -> Option<Connector> {
        self.read().connectors.iter().find(|connector| connector.id == id).cloned()
    }

    pub(crate) fn client(&self, id: &str) -> Option<OAuth2Client> {
        self.read().clients.iter().find(|client| client.id == id).cloned()
    }

    pub(crate) fn knows_group(&self, name: &lib_names::GroupName, connector: &str) -> bool {
        self.read().groups.knows(name, connector)
    }

    /// Whether a `DisableToken` names the token of this text.
    pub(crate) fn refuses_token(&self, text: &str, now: Timestamp) -> bool {
        let state = self.read();
        !state.refused_tokens.is_empty() && state.refuses(&md5_hex(text.as_bytes()), now)
    }

    /// What a session's token gives at this moment.
    pub(crate) fn grant(&self, hash: &TokenHash, now: Timestamp) -> Result<Arc<Grant>, Unauthenticated> {
        let state = self.read();
        let live = state.sessions.get(hash).ok_or(Unauthenticated("there is no such session"))?;
        let grant = live.verdict.as_ref().map_err(|why| Unauthenticated(why))?;
        if now >= grant.until {
            return Err(Unauthenticated("the session has expired"));
        }
        let idle = i64::from(state.policy().sessions.idle_minutes) * 60;
        let is_token = matches!(live.stored.kind, Kind::ApiToken { .. });
        if idle > 0 && !is_token && now.as_second() - grant.seen.load(Ordering::Relaxed) > idle {
            return Err(Unauthenticated("the session was not used for too long"));
        }
        grant.touch(now);
        Ok(grant.clone())
    }

    /// The same by the identifier that signed tokens carry.
    pub(crate) fn grant_of(&self, id: &str, now: Timestamp) -> Result<Arc<Grant>, Unauthenticated> {
        let hash = self.hash_of(id).ok_or(Unauthenticated("there is no such session"))?;
        self.grant(&hash, now)
    }

    fn hash_of(&self, id: &str) -> Option<TokenHash> {
        self.read().ids.get(id).copied()
    }

    /// Sessions as they are stored, those of a user or all.
    pub(crate) fn sessions(&self, username: Option<&str>, now: Timestamp) -> Vec<Arc<Grant>> {
        let state = self.read();
        let holds = |live: &Live| live.verdict.as_ref().ok().filter(|grant| now < grant.until).cloned();
        match username {
            Some(name) => state
                .of_user
                .get(name)
                .into_iter()
                .flatten()
                .filter_map(|hash| holds(state.sessions.get(hash)?))
                .collect(),
            None => state.sessions.values().filter_map(holds).collect(),
        }
    }

    pub(crate) fn put_user(&self, user: UserObject) {
        self.change(|state| {
            let email = user.spec.email.clone();
            state.users.put_written(user);
            Concerns::User(email)
        });
    }

    pub(crate) fn put_credentials(&self, credentials: Credentials) {
        self.change(|state| {
            let email = credentials.email.clone();
            // The answer to a write may come after what others have written since.
            let known = state.credentials.get(&email).and_then(|(known, _)| number(known.version.as_deref()));
            if number(credentials.version.as_deref()) >= known {
                state.credentials.insert(email.clone(), (credentials, Instant::now()));
            }
            Concerns::User(email)
        });
    }

    /// Until when an account is locked for a network.
    pub(crate) fn locked(&self, lock: &Lock, now: Timestamp) -> Option<Timestamp> {
        self.read().locks.until(lock, now)
    }

    pub(crate) fn put_locks(&self, locks: Locks) {
        let mut state = self.write();
        // The answer to a write may come after what others have written since.
        if number(locks.version.as_deref()) >= number(state.locks.version.as_deref()) {
            state.locks = locks;
        }
    }

    pub(crate) fn put_token_record(&self, info: AccessTokenInfo) {
        self.change(|state| AccessTokenInfo::put(state, info));
    }

    pub(crate) fn put_group(&self, group: Group) {
        self.change(|state| Group::put(state, group));
    }

    /// The grant of a session that was just made.
    pub(crate) fn put_session(&self, stored: Stored, now: Timestamp) -> Result<Arc<Grant>, Unauthenticated> {
        let hash = stored.token;
        self.write().insert_session(stored, now);
        self.grant(&hash, now)
    }

    pub(crate) fn revoke(&self, hash: &TokenHash) {
        let mut state = self.write();
        state.revoked.insert(*hash, Instant::now());
        state.remove_session(hash);
    }

    /// Whether a session that was revoked is gone. If not, [`Index::over`] tells it until it is.
    pub(crate) fn deleted(&self, stored: &Stored, gone: bool) {
        let mut state = self.write();
        if gone {
            state.undeleted.remove(&stored.token);
        } else {
            state.undeleted.insert(stored.token, Arc::new(stored.clone()));
        }
    }

    /// What time alone has ended, and what could not be deleted: sessions to delete. A young one may only be ahead of what it depends on: another replica
    /// has made it.
    pub(crate) fn over(&self, now: Timestamp) -> Vec<Arc<Stored>> {
        self.write().revoked.retain(|_, at| at.elapsed() < ECHO);
        // Sessions that came from others are judged after those.
        for children in [false, true] {
            self.judge_again(children, now);
        }
        let state = self.read();
        let idle = i64::from(state.policy().sessions.idle_minutes) * 60;
        let mut over: Vec<_> = state.undeleted.values().cloned().collect();
        for live in state.sessions.values() {
            let unused = idle > 0
                && !matches!(live.stored.kind, Kind::ApiToken { .. })
                && now.as_second() - live.seen.load(Ordering::Relaxed) > idle;
            match &live.verdict {
                Ok(grant) if unused => {
                    grant.ended.cancel();
                    over.push(live.stored.clone());
                }
                Ok(_) => {}
                Err(_) if live.at.elapsed() >= ECHO => over.push(live.stored.clone()),
                Err(_) => {}
            }
        }
        over
    }

    /// Judges all sessions, a few at a time, so that requests get in between; what is as it was is only read.
    fn judge_again(&self, children: bool, now: Timestamp) {
        let concerned = |live: &Live| has_parent(&live.stored) == children;
        let hashes: Vec<TokenHash> =
            self.read().sessions.iter().filter(|(_, live)| concerned(live)).map(|(hash, _)| *hash).collect();
        for few in hashes.chunks(AT_ONCE) {
            let state = self.read();
            let changed: Vec<_> = few.iter().filter(|hash| state.is_outdated(hash, now)).copied().collect();
            drop(state);
            if !changed.is_empty() {
                let mut state = self.write();
                changed.iter().for_each(|hash| state.judge_one(hash, now));
            }
        }
    }

    /// Sessions that were used since it was last written down, and when.
    pub(crate) fn used(&self, step: Duration) -> Vec<(String, Timestamp)> {
        let step = i64::try_from(step.as_secs()).unwrap_or(i64::MAX);
        let state = self.read();
        let news = state.sessions.values().filter_map(|live| {
            let seen = live.seen.load(Ordering::Relaxed);
            let old = live.stored.last_seen.as_second();
            (seen - old >= step).then(|| Some((live.stored.id(), Timestamp::from_second(seen).ok()?)))?
        });
        news.collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Every change is judged before the lock is let go; a panic in between leaves old verdicts, which time ends.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
