// Package intent is the signed contract between a workflow and the agent: a
// statement of what to deploy, in an envelope that says who asks.
//
// A workflow calls Sign, the agent calls Verify; a Verified value can only come
// from Verify. Both are pure: keys and the time come in as arguments, nothing
// is fetched. The format is frozen per PredicateType: what verifies today
// verifies with every later version, and the vectors under testdata/vectors let
// any other implementation check itself. docs/intent-format.md describes it for
// people.
package intent

import "time"

// Bounds of an intent.
const (
	MaxEnvelopeBytes = 256 << 10          // of an encoded envelope
	MaxValidity      = 7 * 24 * time.Hour // from IssuedAt to ExpiresAt
	DefaultValidity  = 24 * time.Hour     // what the Action asks for
	MaxClockSkew     = 5 * time.Minute    // of signer against verifier, and of token against IssuedAt
)

// audiencePrefix comes before the digest in a token's audience. It is nobody
// else's audience, so such a token opens nothing but its own intent.
const audiencePrefix = "inhaul.dev/intent@"

// Audience is the audience that the token of an intent with this digest has.
func Audience(digest string) string { return audiencePrefix + digest }

// Image is the image of a deploy as repository@sha256:…; empty for the other
// kinds.
func (s Statement) Image() string {
	for _, subject := range s.Subject {
		if subject.Digest.SHA256 != "" {
			return subject.Name + "@sha256:" + subject.Digest.SHA256
		}
	}
	return ""
}

// New is the statement for predicate about image (repository@sha256:…, empty
// unless a deploy) and the predicate's own commit.
func New(image string, predicate Predicate) Statement {
	s := Statement{Type: StatementType, PredicateType: PredicateType, Predicate: predicate}
	if repository, hex, ok := cutDigest(image); ok {
		s.Subject = append(s.Subject, Subject{Name: repository, Digest: Digest{SHA256: hex}})
	}
	s.Subject = append(s.Subject, Subject{
		Name:   "git+https://github.com/" + predicate.Source.Repository,
		Digest: Digest{GitCommit: predicate.Source.Commit},
	})
	return s
}

// TagDigestLength is how many hex digits of its digest an intent's tag shows.
const TagDigestLength = 12
