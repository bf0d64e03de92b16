package intent

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/inhaul/inhaul/spec"
)

// What every test starts from: a push to main, signed at noon.
const testIssuer = "https://token.actions.githubusercontent.com"

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func push() Statement {
	return New("registry.example/acme/storefront@sha256:"+strings.Repeat("ab", 32), Predicate{
		Kind: Deploy, App: "storefront", Environment: "production",
		Source: Source{
			Repository: "acme/storefront", RepositoryID: 1234, RepositoryOwnerID: 99,
			Ref: "refs/heads/main", Commit: strings.Repeat("9f2c1ab0", 5), Event: "push", EventAt: noon().Add(-time.Minute),
			WorkflowRef: "acme/storefront/.github/workflows/deploy.yml@refs/heads/main",
			RunID:       777, RunNumber: 12, RunAttempt: 1, Actor: "octocat",
		},
		Spec: &spec.App{Name: "storefront", Services: []spec.Service{{
			Name: "web", Type: spec.Web, Run: spec.Command{Shell: "node server.js"}, Port: 8080, Replicas: 2, CPU: "100m", Memory: "128Mi",
			Env: map[string]string{"GREETING": "grüße <&> \u2028"},
		}}},
		IssuedAt: noon(), ExpiresAt: noon().Add(DefaultValidity),
	})
}

// github is an OIDC issuer that signs what it is told to.
type github struct {
	key   *rsa.PrivateKey
	keyID string
}

func newGitHub(tb testing.TB, keyID string) github {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	return github{key: key, keyID: keyID}
}

func (g github) issuer() Issuer {
	return Issuer{URL: testIssuer, Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: g.key.Public(), KeyID: g.keyID, Algorithm: "RS256", Use: "sig",
	}}}}
}

// claims are what GitHub would say of the source.
func claims(s Source) map[string]any {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return map[string]any{
		"iss": testIssuer, "jti": "a-token", "iat": noon().Unix(), "nbf": noon().Unix() - 600, "exp": noon().Unix() + 300,
		"sub":        "repo:acme@99/storefront@1234:ref:refs/heads/main",
		"repository": s.Repository, "repository_id": number(s.RepositoryID), "repository_owner_id": number(s.RepositoryOwnerID),
		"ref": s.Ref, "ref_protected": "true", "sha": s.Commit, "workflow_ref": s.WorkflowRef, "job_workflow_ref": s.WorkflowRef,
		"event_name": s.Event, "run_id": number(s.RunID), "run_number": number(s.RunNumber), "run_attempt": number(s.RunAttempt),
		"actor": s.Actor, "runner_environment": "github-hosted",
	}
}

// signer signs with a token of the given claims, and of these changes to them.
func (g github) signer(_ testing.TB, claims map[string]any, changes map[string]any) *GitHubSigner {
	return NewGitHubSigner(func(_ context.Context, audience string) (string, error) {
		all := map[string]any{"aud": audience}
		maps.Copy(all, claims)
		maps.Copy(all, changes)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: g.key},
			(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", g.keyID))
		if err != nil {
			return "", err
		}
		return jwt.Signed(signer).Claims(all).Serialize()
	})
}

func newEd25519(tb testing.TB) (privatePEM, publicPEM []byte) {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return pems(tb, private, public)
}

func newP256(tb testing.TB) (privatePEM, publicPEM []byte) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return pems(tb, private, private.Public())
}

func pems(tb testing.TB, private, public any) (privatePEM, publicPEM []byte) {
	tb.Helper()
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
}

func sign(tb testing.TB, s Statement, signer Signer) []byte {
	tb.Helper()
	envelope, _, err := Sign(context.Background(), s, signer)
	if err != nil {
		tb.Fatal(err)
	}
	return envelope
}

func keySigner(tb testing.TB, privatePEM []byte) *KeySigner {
	tb.Helper()
	signer, err := NewKeySigner(privatePEM)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}
