package intent

import (
	"time"

	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/spec"
)

// The types that name the format. PredicateType is the version: once released
// it is frozen, and a change of meaning is a new PredicateType.
const (
	StatementType = envelope.StatementType
	PredicateType = "https://inhaul.dev/intent/v1"
	PayloadType   = envelope.PayloadType
)

// Kind says what an intent asks for.
type Kind string

// The kinds of intent.
const (
	Deploy   Kind = "deploy"
	Rollback Kind = "rollback" // back to an earlier release
	Destroy  Kind = "destroy"  // the environment, a preview, goes away
)

// Statement is an in-toto Statement v1 about one image and one commit.
//
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"` // image first (kind deploy), then commit
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is an artifact named by digest.
type Subject = envelope.Subject

// Digest is the digest of a Subject.
type Digest = envelope.DigestSet

// Predicate is what is asked for, by whom, and for how long it holds.
type Predicate struct {
	Kind        Kind      `json:"kind"`
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Source      Source    `json:"source"`
	Spec        *spec.App `json:"spec,omitempty"`   // kind deploy only
	Config      *Config   `json:"config,omitempty"` // kind deploy only

	// The release to go back to; a rollback has exactly one of the three, the other
	// kinds none. See RollBackTo.
	RollbackTo         int    `json:"rollbackTo,omitempty"`         // its number
	RollbackToCommit   string `json:"rollbackToCommit,omitempty"`   // how the commit that it runs begins, 7 to 40 lower-case hex digits
	RollbackToPrevious bool   `json:"rollbackToPrevious,omitempty"` // what ran before

	Force     bool      `json:"force,omitempty"` // deploy although ordering says superseded
	IssuedAt  time.Time `json:"issuedAt"`        // UTC, whole milliseconds
	ExpiresAt time.Time `json:"expiresAt"`       // at most MaxValidity after IssuedAt
}

// Config says where the commit has what Spec was made from, so that people can be
// shown the line of a setting. It decides nothing.
type Config struct {
	Path  string         `json:"path"`            // of inhaul.yaml, from the root of the repository, "services/shop/inhaul.yaml"
	Lines map[string]int `json:"lines,omitempty"` // setting ("services.web.port") to its line, from 1
}

// Source says which workflow run asks. Under the github-oidc signer every
// field but HeadCommit, EventAt, TriggeringActor and PullRequest must equal a
// claim of the token; JobWorkflowRef and GitHubEnvironment may be left out.
type Source struct {
	Repository        string    `json:"repository"`        // "acme/storefront"
	RepositoryID      int64     `json:"repositoryID"`      // never reused, unlike the name
	RepositoryOwnerID int64     `json:"repositoryOwnerID"` // never reused, unlike the name
	Ref               string    `json:"ref"`               // "refs/heads/main"
	Commit            string    `json:"commit"`            // 40 lower-case hex digits
	HeadCommit        string    `json:"headCommit,omitempty"`
	Event             string    `json:"event"`   // "push"
	EventAt           time.Time `json:"eventAt"` // when the event happened, by its payload; not after IssuedAt
	WorkflowRef       string    `json:"workflowRef"`
	JobWorkflowRef    string    `json:"jobWorkflowRef,omitempty"`
	RunID             int64     `json:"runID"`
	RunNumber         int64     `json:"runNumber"`
	RunAttempt        int64     `json:"runAttempt"` // 1 for the first
	Actor             string    `json:"actor"`
	TriggeringActor   string    `json:"triggeringActor,omitempty"` // recorded, never trusted
	GitHubEnvironment string    `json:"githubEnvironment,omitempty"`
	PullRequest       int       `json:"pullRequest,omitempty"`
}
