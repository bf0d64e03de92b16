// Package receipt is the agent's signed word on an intent, for whoever published
// it: how far the release is, and in the end how it went. It lies beside the
// intent in the registry, so that a workflow learns its verdict, and anybody can
// prove it later, without GitHub and without the cluster.
//
// The agent calls Sign; a workflow and `inhaul verify-receipt` call Verify. A
// Receipt can only come from Verify or VerifyAsFound. Everything is pure: keys
// come in as arguments, nothing is fetched. The format is frozen per
// PredicateType; docs/receipt-format.md describes it for people, and the vectors
// under testdata/vectors let any other implementation check itself.
package receipt

import (
	"errors"
	"time"

	"github.com/inhaul/inhaul/envelope"
)

// PredicateType is the version of the format: once released it is frozen, and a
// change of meaning is a new PredicateType.
const PredicateType = "https://inhaul.dev/receipt/v1"

// The bounds of a receipt. A check's summary and text and a comment's body have
// 65,535 characters at GitHub, of up to 4 bytes each in UTF-8:
// https://docs.github.com/en/rest/checks/runs#create-a-check-run
const (
	MaxEnvelopeBytes = 2 << 20 // the three of them, escaped as JSON and in base64
	MaxBodyBytes     = 4 * 65535
	MaxTitleBytes    = 1 << 10
	MaxAnnotations   = 50      // of a check run, at GitHub
	MaxNoteBytes     = 4 << 10 // of an annotation's message
	MaxNumber        = 1 << 20
)

// Why a receipt is refused. Every error of Verify wraps exactly one of these.
var (
	ErrTooLarge     = errors.New("receipt too large")
	ErrMalformed    = errors.New("malformed receipt")           // not the canonical form, or a field out of bounds
	ErrUnknownField = errors.New("unknown field in receipt")    // written by a newer or a foreign signer
	ErrType         = errors.New("not a receipt")               // a statement of another type
	ErrUnsigned     = errors.New("receipt is not signed")       // no signature, or more than one
	ErrSignature    = errors.New("bad signature")               // the key is known, the signature is not its
	ErrUnknownKey   = errors.New("receipt is by another agent") // see UnknownKeyError for its key
)

// Statement is an in-toto Statement v1 about one intent and, where it is known,
// its commit.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"` // the intent first, then the commit
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is an artifact named by digest.
type Subject = envelope.Subject

// Digest is the digest of a Subject.
type Digest = envelope.DigestSet

// Predicate is what the agent says.
type Predicate struct {
	Number      int       `json:"number"` // from 1, without a gap
	Final       bool      `json:"final"`  // nothing comes after it
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Release     int       `json:"release,omitempty"` // 0 for what was refused
	Reported    bool      `json:"reported"`          // the agent itself writes the check run
	IssuedAt    time.Time `json:"issuedAt"`          // UTC, whole milliseconds
	Key         string    `json:"key"`               // of the signer, PEM; says who it is and not that it is to be trusted
	Check       Check     `json:"check"`
	Comment     *Comment  `json:"comment,omitempty"` // of a pull request's intent
	Marker      *Marker   `json:"marker,omitempty"`  // of a release
}

// Check is the check run as the agent wants it to look.
type Check struct {
	Repository  string       `json:"repository,omitempty"` // owner/name; empty if nothing of the intent is trusted
	Commit      string       `json:"commit,omitempty"`     // as in the subject
	Name        string       `json:"name"`
	ExternalID  string       `json:"externalID"` // the intent's digest
	Status      string       `json:"status"`     // queued, in_progress or completed
	Conclusion  string       `json:"conclusion,omitempty"`
	Title       string       `json:"title"`
	Summary     string       `json:"summary"` // Markdown
	Text        string       `json:"text"`    // Markdown
	DetailsURL  string       `json:"detailsURL,omitempty"`
	Annotations []Annotation `json:"annotations,omitempty"`
	StartedAt   time.Time    `json:"startedAt,omitzero"`
	CompletedAt time.Time    `json:"completedAt,omitzero"`
}

// Annotation is a line of a file that a check points at.
type Annotation struct {
	Path    string `json:"path"`
	Line    int    `json:"line"`  // from 1
	Level   string `json:"level"` // notice, warning or failure
	Title   string `json:"title,omitempty"`
	Message string `json:"message"`
}

// Comment is the pull request's one comment of the app.
type Comment struct {
	Repository  string `json:"repository"`
	PullRequest int    `json:"pullRequest"`
	Marker      string `json:"marker"` // an HTML comment, in Body too
	Body        string `json:"body"`   // Markdown
}

// Marker is what a workflow does something with.
type Marker struct {
	Release  int    `json:"release"`
	Back     int    `json:"back,omitempty"` // the release that served before
	URL      string `json:"url,omitempty"`
	Restored int    `json:"restored,omitempty"` // the release that a rollback brought back, and what that is
	Commit   string `json:"commit,omitempty"`
	Image    string `json:"image,omitempty"`
}

// Receipt is a receipt whose signature holds. Only Verify and VerifyAsFound make
// one; the zero value is no receipt.
type Receipt struct {
	statement Statement
	digest    string
	key       envelope.PublicKey
}

// Predicate is what the agent says.
func (r Receipt) Predicate() Predicate { return r.statement.Predicate }

// Intent is the digest of the intent that r is about, "sha256:…".
func (r Receipt) Intent() string { return "sha256:" + r.statement.Subject[0].Digest.SHA256 }

// Commit is the commit that r is about; empty if the agent could not know it.
func (r Receipt) Commit() string { return r.statement.Predicate.Check.Commit }

// Digest names what r says.
func (r Receipt) Digest() string { return r.digest }

// Key is the key that signed r.
func (r Receipt) Key() envelope.PublicKey { return r.key }
