//! One authority takes the place of another, while everybody goes on.
//!
//! In three steps, each of which whoever is concerned can follow in their own time: *introduce* makes the next authority,
//! which is trusted from then on beside the one that signs; *switch* has it sign; *retire* ends the trust in the former.
//! Each step but the last can be taken back.
//!
//! An authority has a name of its own, so a certificate says which one it is of: what names the former as its issuer is
//! verified with the former's key or not at all.

use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use crate::certificate::parse;
use crate::{Authority, Error, SpkiPin};

/// The authorities that count at a moment: one that signs, and while one takes the place of another, that one too.
#[derive(Clone, Debug)]
pub struct Authorities {
    signing: Arc<Authority>,
    other: Option<Other>,
}

/// The one that does not sign.
#[derive(Clone, Debug)]
pub enum Other {
    /// It will.
    Next(Arc<Authority>),
    /// It did.
    Former(Arc<Authority>),
}

impl Other {
    /// The authority.
    pub fn authority(&self) -> &Arc<Authority> {
        match self {
            Self::Next(authority) | Self::Former(authority) => authority,
        }
    }
}

/// What there is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the next authority, and trust it.
    Introduce,
    /// Have it sign.
    Switch,
    /// Trust the former no more.
    Retire,
    /// Take the last step back.
    Back,
}

/// A step that cannot be taken from here.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Another one comes first.
    #[error("{0}")]
    OutOfTurn(&'static str),
    /// The next authority could not be made.
    #[error("could not make an authority")]
    Make(#[source] Error),
}

impl Authorities {
    /// One, and none beside it.
    pub fn alone(signing: Arc<Authority>) -> Self {
        Self { signing, other: None }
    }

    /// One, and another beside it. They must differ in name and key, or nobody could tell which of them signed.
    pub fn with(signing: Arc<Authority>, other: Other) -> Result<Self, Error> {
        let beside = other.authority();
        if beside.name() == signing.name() || beside.pin() == signing.pin() {
            return Err(Error::Malformed("two authorities have one name, or one key"));
        }
        Ok(Self { signing, other: Some(other) })
    }

    /// By which certificates are issued.
    pub fn signing(&self) -> &Arc<Authority> {
        &self.signing
    }

    /// The one beside it.
    pub fn other(&self) -> Option<&Other> {
        self.other.as_ref()
    }

    /// All of them, the one that signs first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Authority>> {
        std::iter::once(&self.signing).chain(self.other.as_ref().map(Other::authority))
    }

    /// The one that everybody trusts who trusts any: whoever was away since before the next one was introduced knows
    /// this one alone.
    pub fn elder(&self) -> &Arc<Authority> {
        match &self.other {
            Some(Other::Former(former)) => former,
            Some(Other::Next(_)) | None => &self.signing,
        }
    }

    /// Their certificates, for those who are to trust them. The one that signs comes first.
    pub fn bundle_pem(&self) -> String {
        self.all().map(|authority| authority.certificate_pem()).collect()
    }

    /// The pins of their keys, in the same order.
    pub fn pins(&self) -> Vec<SpkiPin> {
        self.all().map(|authority| authority.pin()).collect()
    }

    /// Whether a certificate names one of them as its issuer. It says nothing about whether that is true; take it from a
    /// finished handshake.
    pub fn have_issued(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(parsed) = parse(certificate) else { return false };
        self.all().any(|authority| authority.name() == parsed.issuer().as_raw())
    }

    /// What there is after a step.
    pub fn after(&self, step: Step, now: SystemTime) -> Result<Self, StepError> {
        let (signing, other) = match (step, &self.other) {
            (Step::Introduce, None) => {
                let next = self.signing.successor(now).map_err(StepError::Make)?;
                (self.signing.clone(), Some(Other::Next(Arc::new(next))))
            }
            (Step::Switch, Some(Other::Next(next))) => (next.clone(), Some(Other::Former(self.signing.clone()))),
            (Step::Retire, Some(Other::Former(_))) | (Step::Back, Some(Other::Next(_))) => (self.signing.clone(), None),
            (Step::Back, Some(Other::Former(former))) => (former.clone(), Some(Other::Next(self.signing.clone()))),
            (Step::Introduce, Some(_)) => {
                return Err(StepError::OutOfTurn(
                    "another authority is introduced already: retire, or take back, comes first",
                ));
            }
            (Step::Switch, None) => {
                return Err(StepError::OutOfTurn("there is no other authority to switch to: introduce comes first"));
            }
            (Step::Switch, Some(Other::Former(_))) => {
                return Err(StepError::OutOfTurn("the next authority signs already: retire comes next"));
            }
            (Step::Retire, Some(Other::Next(_))) => {
                return Err(StepError::OutOfTurn("the authority that signs cannot be retired: switch comes first"));
            }
            (Step::Retire, None) => {
                return Err(StepError::OutOfTurn("there is no former authority: introduce and switch come first"));
            }
            (Step::Back, None) => return Err(StepError::OutOfTurn("there is nothing to take back")),
        };
        Ok(Self { signing, other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Leaf, Subject};

    fn first() -> Authorities {
        Authorities::alone(Arc::new(Authority::generate("hub", SystemTime::now()).unwrap()))
    }

    fn steps(from: &Authorities, steps: &[Step]) -> Authorities {
        steps.iter().fold(from.clone(), |at, step| at.after(*step, SystemTime::now()).unwrap())
    }

    #[track_caller]
    fn refused(at: &Authorities, step: Step, says: &str) {
        let error = at.after(step, SystemTime::now()).unwrap_err();
        assert!(matches!(error, StepError::OutOfTurn(_)) && error.to_string().contains(says), "{error}");
    }

    #[test]
    fn one_takes_the_place_of_another() {
        let first = first();
        let introduced = steps(&first, &[Step::Introduce]);
        assert_eq!(introduced.signing().pin(), first.signing().pin());
        assert_eq!(introduced.elder().pin(), first.signing().pin());
        assert_eq!(introduced.pins().len(), 2);
        let switched = steps(&introduced, &[Step::Switch]);
        assert_eq!(switched.pins(), [introduced.pins()[1], introduced.pins()[0]], "the one that signs comes first");
        assert_eq!(switched.elder().pin(), first.signing().pin());
        let retired = steps(&switched, &[Step::Retire]);
        assert_eq!(retired.pins(), [introduced.pins()[1]]);
        // And once more: each has a name of its own.
        let again = steps(&retired, &[Step::Introduce]);
        let names: Vec<_> = [&switched, &again].iter().flat_map(|at| at.all()).map(|one| one.common_name()).collect();
        assert_eq!(names, ["hub 2", "hub", "hub 2", "hub 3"]);
    }

    #[test]
    fn steps_are_taken_back_until_the_last() {
        let first = first();
        let introduced = steps(&first, &[Step::Introduce]);
        assert_eq!(steps(&introduced, &[Step::Switch, Step::Back]).pins(), introduced.pins());
        assert_eq!(steps(&introduced, &[Step::Back]).pins(), first.pins());
        let retired = steps(&introduced, &[Step::Switch, Step::Retire]);
        refused(&retired, Step::Back, "nothing to take back");
    }

    #[test]
    fn each_has_its_turn() {
        let first = first();
        refused(&first, Step::Switch, "introduce comes first");
        refused(&first, Step::Retire, "introduce and switch");
        refused(&first, Step::Back, "nothing");
        let introduced = steps(&first, &[Step::Introduce]);
        refused(&introduced, Step::Introduce, "introduced already");
        refused(&introduced, Step::Retire, "switch comes first");
        let switched = steps(&introduced, &[Step::Switch]);
        refused(&switched, Step::Introduce, "introduced already");
        refused(&switched, Step::Switch, "retire comes next");
    }

    #[test]
    fn a_certificate_says_whose_it_is() {
        let first = first();
        let switched = steps(&first, &[Step::Introduce, Step::Switch]);
        let leaf = Leaf::Client(Subject::new("jane", ["people"]));
        let of_former = first.signing().issue(&leaf).unwrap();
        let of_next = switched.signing().issue(&leaf).unwrap();
        assert_eq!(of_former.issuer(), Some(first.signing().pin()));
        assert_eq!(of_next.issuer(), Some(switched.signing().pin()));
        assert!(switched.have_issued(of_former.certificate()) && switched.have_issued(of_next.certificate()));
        let retired = steps(&switched, &[Step::Retire]);
        assert!(!retired.have_issued(of_former.certificate()) && retired.have_issued(of_next.certificate()));
    }

    #[test]
    fn two_that_cannot_be_told_apart_are_refused() {
        let (one, namesake) = (first().signing().clone(), first().signing().clone());
        assert!(Authorities::with(one.clone(), Other::Next(namesake)).is_err());
        assert!(Authorities::with(one.clone(), Other::Former(one)).is_err());
    }
}
