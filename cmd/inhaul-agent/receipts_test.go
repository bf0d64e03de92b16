package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/receipt"
)

// keptKey is a cluster with a key that can be replaced.
type keptKey struct {
	t      *testing.T
	signer *envelope.KeySigner
	asked  int
	hidden error // its public half cannot be shown
}

func (k *keptKey) ReceiptKey(context.Context) (*envelope.KeySigner, error) {
	k.asked++
	if k.signer == nil {
		private, err := envelope.GenerateKey()
		if err != nil {
			k.t.Fatal(err)
		}
		if k.signer, err = envelope.NewKeySigner(private); err != nil {
			k.t.Fatal(err)
		}
	}
	return k.signer, k.hidden
}

// leading is a process that leads.
func leading() error { return nil }

func rollingOut(intents string) agent.Receipt {
	digest := "sha256:" + strings.Repeat("ab", 32)
	at := time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
	return agent.Receipt{
		Intents: intents, Intent: digest, Number: 1, Line: agent.Line{App: "shop", Environment: "pr-7"}, At: at,
		Check: agent.Check{
			ID: 4711, Repository: "acme/shop", Commit: strings.Repeat("9f2c1ab0", 5), Name: "inhaul / pr-7", ExternalID: digest,
			Status: agent.InProgress, Title: strings.Repeat("ü", 1000), Summary: "on its way", StartedAt: at,
			Annotations: []agent.Annotation{{Path: "inhaul.yaml", Line: 3, Level: "warning", Message: "close to its limit"}},
		},
		Comment: &agent.Comment{ID: 12, Repository: "acme/shop", PullRequest: 7, Marker: "<!-- inhaul -->", Body: "<!-- inhaul -->\n| pr-7 |"},
		Marker:  agent.Marker{Release: 3, Back: 2},
	}
}

func TestReceiptsArePublishedSigned(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	keys, now := &keptKey{t: t}, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var logged bytes.Buffer
	r := newReceipts(oci.New(), keys, leading, func() time.Time { return now }, slog.New(slog.NewTextHandler(&logged, nil)))
	of := rollingOut(strings.TrimPrefix(server.URL, "http://") + "/shop-intents")
	for range 2 {
		if err := r.PublishReceipt(t.Context(), of); err != nil {
			t.Fatal(err)
		}
	}
	first := keys.signer.Public()
	if keys.asked != 1 || strings.Count(logged.String(), first.ID()) != 1 {
		t.Errorf("asked %d times for the key and logged\n%s, want once, and its fingerprint once", keys.asked, logged.String())
	}
	data, found, err := oci.New().FetchReceipt(t.Context(), of.Intents, of.Intent, 1)
	if err != nil || !found {
		t.Fatalf("got %v, %v", found, err)
	}
	got, err := receipt.Verify(data, []envelope.PublicKey{first})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 11, 0, 0, 123_000_000, time.UTC)
	want := receipt.Predicate{
		Number: 1, App: "shop", Environment: "pr-7", Release: 3, IssuedAt: at, Key: first.PEM(),
		Check: receipt.Check{
			Repository: "acme/shop", Commit: of.Check.Commit, Name: "inhaul / pr-7", ExternalID: of.Intent, Status: "in_progress",
			Title: strings.Repeat("ü", (receipt.MaxTitleBytes-len(truncated))/2) + truncated, Summary: "on its way", StartedAt: at,
			Annotations: []receipt.Annotation{{Path: "inhaul.yaml", Line: 3, Level: "warning", Message: "close to its limit"}},
		},
		Comment: &receipt.Comment{Repository: "acme/shop", PullRequest: 7, Marker: "<!-- inhaul -->", Body: "<!-- inhaul -->\n| pr-7 |"},
		Marker:  &receipt.Marker{Release: 3, Back: 2},
	}
	if diff := cmp.Diff(want, got.Predicate()); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
	other := of
	other.Check.Summary = "other words"
	if err := r.PublishReceipt(t.Context(), other); !errors.Is(err, agent.ErrExists) {
		t.Errorf("other words under its number: got %v, want ErrExists", err)
	}

	keys.signer, now = nil, now.Add(keyAge)
	of.Number = 2
	if err := r.PublishReceipt(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	if keys.asked != 2 || !strings.Contains(logged.String(), keys.signer.Public().ID()) {
		t.Errorf("a replaced key: asked %d times and logged\n%s", keys.asked, logged.String())
	}
}

func TestARefusingRegistryIsToldWithWhatToDo(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet && req.URL.Path == "/v2/" {
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	r := newReceipts(oci.New(), &keptKey{t: t}, leading, time.Now, slog.New(slog.DiscardHandler))
	err := r.PublishReceipt(t.Context(), rollingOut(strings.TrimPrefix(server.URL, "http://")+"/shop-intents"))
	if !errors.Is(err, agent.ErrNotPermitted) || !strings.Contains(err.Error(), "push to ") || !strings.Contains(err.Error(), "INHAUL_RECEIPTS=off") {
		t.Errorf("got %v, want ErrNotPermitted and what to do", err)
	}
}

// TestAKeyThatCannotBeShownSignsAllTheSame is about a ConfigMap that cannot be written.
func TestAKeyThatCannotBeShownSignsAllTheSame(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	var logged bytes.Buffer
	keys := &keptKey{t: t, hidden: errors.New("no quota for ConfigMaps")}
	r := newReceipts(oci.New(), keys, leading, time.Now, slog.New(slog.NewTextHandler(&logged, nil)))
	of := rollingOut(strings.TrimPrefix(server.URL, "http://") + "/shop-intents")
	for of.Number = range 3 {
		of.Number++
		if err := r.PublishReceipt(t.Context(), of); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(logged.String(), "no quota"); n != 1 || keys.asked != 1 {
		t.Errorf("asked %d times and logged it %d times, want once in a while", keys.asked, n)
	}
}

func TestWhoDoesNotLeadPublishesNoReceipt(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(server.Close)
	lost := errors.New("the lease is lost")
	r := newReceipts(oci.New(), &keptKey{t: t}, func() error { return lost }, time.Now, slog.New(slog.DiscardHandler))
	err := r.PublishReceipt(t.Context(), rollingOut(strings.TrimPrefix(server.URL, "http://")+"/shop-intents"))
	if !errors.Is(err, lost) || asked != 0 {
		t.Errorf("got %v after %d requests, want the lease asked for before any", err, asked)
	}
}
