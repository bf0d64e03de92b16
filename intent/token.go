package intent

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// githubClaims are the claims that are looked at. Numbers are strings in
// GitHub's tokens. sub is left alone: its form is customisable and changed.
//
// https://docs.github.com/en/actions/reference/security/oidc
type githubClaims struct {
	Repository        string `json:"repository"`
	RepositoryID      string `json:"repository_id"`
	RepositoryOwnerID string `json:"repository_owner_id"`
	Ref               string `json:"ref"`
	RefProtected      string `json:"ref_protected"`
	HeadRef           string `json:"head_ref"` // of a pull request: its branch
	SHA               string `json:"sha"`
	WorkflowRef       string `json:"workflow_ref"`
	JobWorkflowRef    string `json:"job_workflow_ref"`
	Environment       string `json:"environment"`
	EventName         string `json:"event_name"`
	RunID             string `json:"run_id"`
	RunNumber         string `json:"run_number"`
	RunAttempt        string `json:"run_attempt"`
	Actor             string `json:"actor"`
	RunnerEnvironment string `json:"runner_environment"`
}

// verifyToken checks that a trusted issuer signed a token for exactly this
// intent and that its claims are the statement's source. Lateness is judged by
// iat alone: tokens live for minutes, and an agent may come later than that.
func verifyToken(e Envelope, trust Trust) (Evidence, error) {
	token, err := parseToken(string(e.sealed.Signature.Sig))
	if err != nil {
		return Evidence{}, err
	}
	var unverified jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&unverified); err != nil {
		return Evidence{}, fmt.Errorf("%w: token claims: %w", ErrMalformed, err)
	}
	i := slices.IndexFunc(trust.Issuers, func(i Issuer) bool { return i.URL == unverified.Issuer })
	if i < 0 {
		return Evidence{}, fmt.Errorf("%w: got %q", ErrIssuer, unverified.Issuer)
	}
	keyID := token.Headers[0].KeyID
	keys := trust.Issuers[i].Keys.Key(keyID)
	if keyID == "" || len(keys) == 0 {
		return Evidence{}, &UnknownKeyError{Issuer: unverified.Issuer, KeyID: keyID}
	}
	var standard jwt.Claims
	var claims githubClaims
	if err := token.Claims(keys[0].Key, &standard, &claims); err != nil {
		return Evidence{}, fmt.Errorf("%w: token of %s: %w", ErrSignature, unverified.Issuer, err)
	}
	if want := Audience(e.Digest()); len(standard.Audience) != 1 || standard.Audience[0] != want {
		return Evidence{}, fmt.Errorf("%w: got %q, want %q", ErrAudience, standard.Audience, want)
	}
	if err := claims.match(e.statement.Predicate.Source); err != nil {
		return Evidence{}, err
	}
	issuedAt := standard.IssuedAt.Time().UTC()
	if apart := issuedAt.Sub(e.statement.Predicate.IssuedAt); standard.IssuedAt == nil || apart.Abs() > MaxClockSkew {
		return Evidence{}, fmt.Errorf("%w: token of %s, intent of %s", ErrStale,
			issuedAt.Format(time.RFC3339), e.statement.Predicate.IssuedAt.Format(time.RFC3339))
	}
	return Evidence{
		Scheme: GitHubKeyID, KeyID: keyID, Issuer: standard.Issuer, TokenID: standard.ID, IssuedAt: issuedAt,
		Claims: map[string]string{
			"ref_protected": claims.RefProtected, "runner_environment": claims.RunnerEnvironment, "environment": claims.Environment,
			"job_workflow_ref": claims.JobWorkflowRef, "head_ref": claims.HeadRef,
		},
	}, nil
}

// parseToken accepts a compact RS256 token in its one exact form: base64 that
// decodes the same with other trailing bits is refused.
func parseToken(raw string) (*jwt.JSONWebToken, error) {
	if strings.ContainsAny(raw, "\r\n") { // which the decoder would skip
		return nil, fmt.Errorf("%w: token: line break", ErrMalformed)
	}
	for part := range strings.SplitSeq(raw, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, fmt.Errorf("%w: token: %w", ErrMalformed, err)
		}
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, fmt.Errorf("%w: token: %w", ErrMalformed, err)
	}
	return token, nil
}

// match names the first claim that is not what the statement says.
func (c githubClaims) match(s Source) error {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, claim := range []struct {
		name, got, want string
		optional        bool
	}{
		{"repository_id", c.RepositoryID, number(s.RepositoryID), false},
		{"repository_owner_id", c.RepositoryOwnerID, number(s.RepositoryOwnerID), false},
		{"repository", c.Repository, s.Repository, false},
		{"ref", c.Ref, s.Ref, false},
		{"sha", c.SHA, s.Commit, false},
		{"workflow_ref", c.WorkflowRef, s.WorkflowRef, false},
		{"job_workflow_ref", c.JobWorkflowRef, s.JobWorkflowRef, true},
		{"environment", c.Environment, s.GitHubEnvironment, true},
		{"event_name", c.EventName, s.Event, false},
		{"run_id", c.RunID, number(s.RunID), false},
		{"run_number", c.RunNumber, number(s.RunNumber), false},
		{"run_attempt", c.RunAttempt, number(s.RunAttempt), false},
		{"actor", c.Actor, s.Actor, false},
	} {
		if claim.optional && claim.want == "" {
			continue // the runner does not tell a step these; policy reads the token's word
		}
		if claim.got != claim.want {
			return fmt.Errorf("%w: %s: the token says %q, the intent %q", ErrClaims, claim.name, claim.got, claim.want)
		}
	}
	return nil
}
