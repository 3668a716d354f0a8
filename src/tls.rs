//! The certificates that this operator shows to those who call it.
//!
//! # The naive solution, and how it breaks
//!
//! Make a certificate at the start, write its authority into the webhook's configuration, and serve. With two replicas,
//! each makes its own, and the API server trusts the one that wrote last: half of the requests fail. A year later the
//! certificate expires, at night. So it is renewed in time; but for a moment the API server knows only the old authority
//! while the operator already shows the new certificate, and the requests of that moment fail, too.
//!
//! # The mechanism
//!
//! Whoever serves reads a [`Slot`] in each handshake, so a certificate is replaced without closing anything. Three
//! sources fill slots:
//!
//! | source | for whom |
//! |---|---|
//! | [`files`] | cert-manager, or an administrator: two mounted files, read again when they change |
//! | [`own`] | `/metrics`, whose clients don't verify it: made in memory |
//! | [`keeper`] | the webhook: made by the operator, shared by its replicas through one Secret |
//!
//! In the Secret, each certificate has an authority of its own, whose key is thrown away as soon as it has signed that
//! one certificate: no key that could sign anything is ever stored. A renewal therefore changes the authority, too, and
//! has three steps, with a pause before the second and the third:
//!
//! ```text
//!                 2/3 of its life       overlap                overlap
//!                 ───────────────► ┌───────────────┐ ───► ┌───────────────┐ ───► ┌─────────┐
//!                                  │    prepare    │      │    promote    │      │ retire  │
//!  tls.crt: shown        A         │       A       │      │       B       │      │    B    │
//!  next.crt              -         │       B       │      │       -       │      │    -    │
//!  ca.crt: trusted       a         │      a, b     │      │      a, b     │      │    b    │
//!                                  └───────────────┘      └───────────────┘      └─────────┘
//! ```
//!
//! At each moment, whatever any replica shows is trusted by the API server, even if one of them is an overlap behind.
//! [`kept`] contains the decision, pure; [`keeper`] carries it out. Only the leader renews, and only the leader tells
//! the API server whom to trust (`caBundle`); every replica shows the certificate.
//!
//! # The clock
//!
//! The dates in a certificate are times of day, and have to be compared with the time of day, which is handed in as a
//! function. It decides nothing else. The overlap is measured on tokio's clock, from this process's own first sight of
//! a step, as a follower measures a Lease: a new leader begins to wait anew.
//!
//! # What it does not promise
//!
//! - That clocks agree. Certificates are valid from an hour before they are made; a clock that is further off makes
//!   certificates that others refuse.
//! - That a replica which can't reach the API server for longer than the overlap still shows what is trusted.
//! - That nothing fails when somebody deletes the Secret: the new authority is trusted a few seconds later.
//!
//! # Equivalents
//!
//! controller-runtime: `pkg/certwatcher` for the files. `open-policy-agent/cert-controller` and cert-manager's
//! `dynamic-authority` keep such a Secret.
//!
//! # What to try
//!
//! `cargo test --test acceptance webhook`: certificates that live six seconds are renewed under a stream of requests. Let
//! `kept` promote without waiting for the overlap, and see them fail.

pub mod files;
pub mod keeper;
pub mod kept;
pub mod own;
pub mod pair;
pub mod slot;

pub use files::{Files, FilesError};
pub use keeper::{Keeper, Place};
pub use kept::Pace;
pub use pair::{Pair, PairError};
pub use slot::Slot;
