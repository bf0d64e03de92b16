package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

const testImages = "registry.example/acme/storefront"

// run is a workflow run that publishes intents.
type run struct {
	id, number, attempt int64
	eventAt, issuedAt   time.Time
	change              func(*intent.Predicate) // may be nil
}

// statement is what the run asks for: commit and image follow from its id.
func (r run) statement() intent.Statement {
	p := intent.Predicate{
		Kind: intent.Deploy, App: "storefront", Environment: "production",
		Source: intent.Source{
			Repository: "acme/storefront", RepositoryID: 1234, RepositoryOwnerID: 99, Ref: "refs/heads/main",
			Commit: fmt.Sprintf("%040x", r.id), Event: "push", EventAt: r.eventAt,
			WorkflowRef: "acme/storefront/.github/workflows/deploy.yml@refs/heads/main",
			RunID:       r.id, RunNumber: r.number, RunAttempt: r.attempt, Actor: "octocat",
		},
		Spec: &spec.App{Name: "storefront", Services: []spec.Service{{
			Name: "web", Type: spec.Web, Port: 8080, Replicas: 1, CPU: "100m", Memory: "64Mi",
			Env: map[string]string{"RUN": fmt.Sprint(r.id)},
		}}},
		IssuedAt: r.issuedAt, ExpiresAt: r.issuedAt.Add(intent.DefaultValidity),
	}
	if r.change != nil {
		r.change(&p)
	}
	image := ""
	if p.Kind == intent.Deploy {
		image = fmt.Sprintf("%s@sha256:%064x", testImages, r.id)
	}
	return intent.New(image, p)
}

// signing is one fixed key: tests need no randomness.
func signing(tb testing.TB) (signer intent.Signer, publicPEM string) {
	tb.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := intent.NewKeySigner(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		tb.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		tb.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func envelope(tb testing.TB, r run) (data []byte, digest string) {
	tb.Helper()
	signer, _ := signing(tb)
	data, digest, err := intent.Sign(context.Background(), r.statement(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	return data, digest
}

func verified(tb testing.TB, r run) intent.Verified {
	tb.Helper()
	_, public := signing(tb)
	key, err := intent.ParsePublicKey([]byte(public))
	if err != nil {
		tb.Fatal(err)
	}
	data, _ := envelope(tb, r)
	v, err := intent.Verify(data, intent.Trust{Keys: []intent.PublicKey{key}}, r.issuedAt)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func testApp(tb testing.TB) App {
	tb.Helper()
	_, public := signing(tb)
	return App{
		Name: "storefront", Intents: testImages + "-intents", Images: []string{testImages}, History: 10,
		Signers:      []Signer{{PublicKey: public}},
		Environments: []Environment{{Name: "production", Namespace: "storefront-production", Production: true}, {Name: "staging", Namespace: "storefront-staging"}},
		Rules: []Rule{
			{Name: "main to production", Environments: []string{"production"}, RepositoryID: 1234, Refs: []string{"refs/heads/main"}, AllowRollback: true},
			{Name: "anything to staging", Environments: []string{"staging"}, RepositoryID: 1234, Refs: []string{"refs/heads/*"}, AllowForce: true},
		},
	}
}
