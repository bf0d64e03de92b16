package github

import (
	"crypto/sha1" // x5t is defined with SHA-1: RFC 7515 §4.1.7
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// The times in the example tokens of GitHub's documentation.
// https://docs.github.com/en/actions/reference/security/oidc
const (
	idTokenLifetime = 300 * time.Second
	idTokenBackdate = 600 * time.Second
)

// Issuer is the "iss" of ID tokens.
func (s *Server) Issuer() string { return s.base + "/oidc" }

func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, map[string]any{
		"issuer": s.Issuer(), "jwks_uri": s.Issuer() + "/jwks",
		"subject_types_supported": []string{"public", "pairwise"}, "response_types_supported": []string{"id_token"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "scopes_supported": []string{"openid"},
		"claims_supported": append([]string{"sub", "aud", "exp", "iat", "iss", "jti", "nbf"}, claimNames()...),
	})
}

func claimNames() []string {
	return []string{
		"ref", "sha", "repository", "repository_id", "repository_owner", "repository_owner_id", "run_id", "run_number", "run_attempt",
		"actor", "actor_id", "workflow", "workflow_ref", "workflow_sha", "head_ref", "base_ref", "event_name", "ref_type", "ref_protected",
		"environment", "job_workflow_ref", "job_workflow_sha", "repository_visibility", "runner_environment",
	}
}

func (s *Server) jwks(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	signing := s.state.Signing
	s.mu.Unlock()
	key, err := signing.private()
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	public := jose.JSONWebKey{Key: &key.PublicKey, KeyID: signing.ID, Algorithm: string(jose.RS256), Use: "sig"}
	s.writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
}

func (s *Server) rotateKeys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	err := s.state.rotate()
	id := s.state.Signing.ID
	s.mu.Unlock()
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.saver.changed()
	s.writeJSON(w, http.StatusOK, map[string]string{"kid": id})
}

// idToken is ACTIONS_ID_TOKEN_REQUEST_URL.
func (s *Server) idToken(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	s.mu.Lock()
	var run *workflowRun
	for _, known := range s.state.Runs {
		if strconv.FormatInt(known.RunID, 10) == query.Get("run") && strconv.FormatInt(known.RunAttempt, 10) == query.Get("attempt") {
			run = known
		}
	}
	signing := s.state.Signing
	s.mu.Unlock()
	if run == nil || !*run.IDTokenPermission || subtle.ConstantTimeCompare([]byte(bearerOf(r)), []byte(run.Bearer)) != 1 {
		s.refuse(w, http.StatusUnauthorized, "the run is unknown, or the bearer token is not its own")
		return
	}
	audience := query.Get("audience")
	if audience == "" {
		audience = s.base + "/" + run.owner()
	}
	value, err := signing.sign(s.claimsOf(run, audience))
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.writeJSON(w, http.StatusOK, map[string]any{"count": len(value), "value": value})
}

func (k signingKey) sign(claims map[string]any) (string, error) {
	key, err := k.private()
	if err != nil {
		return "", err
	}
	thumbprint := sha1.Sum(key.N.Bytes()) // stands for a certificate's thumbprint
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.ID).
		WithHeader("x5t", base64.RawURLEncoding.EncodeToString(thumbprint[:]))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("preparing the signer: %w", err)
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// claimsOf has all numbers as strings, like GitHub, except the times.
func (s *Server) claimsOf(run *workflowRun, audience string) map[string]any {
	now := s.now()
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	_, refType := run.refName()
	claims := map[string]any{
		"iss": s.Issuer(), "aud": audience, "sub": run.subject(), "jti": uuid(),
		"iat": now.Unix(), "nbf": now.Add(-idTokenBackdate).Unix(), "exp": now.Add(idTokenLifetime).Unix(),
		"repository": run.Repository, "repository_id": number(run.RepositoryID),
		"repository_owner": run.owner(), "repository_owner_id": number(run.OwnerID), "repository_visibility": run.Visibility,
		"ref": run.Ref, "ref_type": refType, "ref_protected": strconv.FormatBool(*run.RefProtected), "sha": run.SHA,
		"workflow": run.WorkflowName, "workflow_ref": run.workflowRef(), "workflow_sha": run.SHA,
		"job_workflow_ref": run.JobWorkflowRef, "job_workflow_sha": run.SHA, "event_name": run.Event,
		"run_id": number(run.RunID), "run_number": number(run.RunNumber), "run_attempt": number(run.RunAttempt),
		"actor": run.Actor, "actor_id": number(run.ActorID), "head_ref": run.HeadRef, "base_ref": run.BaseRef,
		"runner_environment": "github-hosted",
	}
	if run.Environment != "" {
		claims["environment"] = run.Environment
	}
	return claims
}

// subject is in the immutable form, with ids, that repositories made after 2026-07-15 have.
func (run *workflowRun) subject() string {
	_, name, _ := strings.Cut(run.Repository, "/")
	prefix := fmt.Sprintf("repo:%s@%d/%s@%d:", run.owner(), run.OwnerID, name, run.RepositoryID)
	escape := func(value string) string { return strings.ReplaceAll(value, ":", "%3A") }
	switch {
	case run.Environment != "":
		return prefix + "environment:" + escape(run.Environment)
	case run.Event == "pull_request":
		return prefix + "pull_request"
	}
	return prefix + "ref:" + escape(run.Ref)
}

func uuid() string {
	t := randomHex(32)
	return t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:]
}
