package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/intent"
)

// outdated makes a run one of a branch that may not deploy to production.
func outdated(p *intent.Predicate) { p.Source.Ref = "refs/heads/old" }

// TestADeniedWorkflowMutesNobody is about a branch that may sign intents, but
// not deploy: it dates as many of them ahead as an App keeps refusals.
func TestADeniedWorkflowMutesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range maxRefusals + 2 {
			r := push(int64(100+i), 60, 64)
			r.issuedAt = r.issuedAt.Add(time.Duration(i) * time.Millisecond)
			r.change = outdated
			w.publish(t, r)
		}
		w.runUntil(minutes(70), func() {
			time.Sleep(30 * time.Second)
			w.publish(t, push(200, 60, 60))
		})
		if len(w.releases) != 1 || w.releases[0].Status.Phase != Succeeded {
			t.Errorf("got %d releases, want the good one live", len(w.releases))
		}
		for _, marks := range w.app.Status.Lines {
			if !marks.ForgottenBefore.IsZero() {
				t.Errorf("got mark %s, want none moved by denials", marks.ForgottenBefore)
			}
		}
		// Refusals that nobody has reported yet may make room for newer ones.
		if n := len(w.checks); n < maxRefusals+1 || n > maxRefusals+3 {
			t.Errorf("got %d check runs, want one for nearly each, and for the good one", n)
		}
	})
}

// TestAnEnvironmentThatIsTakenOutDeniesNoPast is about intents whose environment
// has been taken out of the App since they were deployed: they are no news.
func TestAnEnvironmentThatIsTakenOutDeniesNoPast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish(t, push(1, 0, 1))
		w.run()
		w.app.Environments = nil
		w.run()
		if c := w.checks[w.releases[0].Intent]; c.Conclusion != Success || len(w.app.Status.Refusals) != 0 {
			t.Errorf("got %s (%s) and refusals %+v, want it green as it was", c.Conclusion, c.Title, w.app.Status.Refusals)
		}
	})
}

func TestATagWithAnotherTimeIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish(t, push(1, 0, 1))
		w.notices[0].IssuedAt = w.notices[0].IssuedAt.Add(time.Millisecond)
		w.run()
		got := w.app.Status.Refusals
		if len(w.releases) != 0 || len(got) != 1 || got[0].Rule != "format" || !strings.Contains(got[0].Message, "the tag announces another intent") {
			t.Errorf("got %d releases, refusals %+v; want it refused as format", len(w.releases), got)
		}
	})
}

// keyServer has the keys of some issuers; the others are down.
type keyServer struct {
	cached, fresh map[string]jose.JSONWebKeySet
	asked         []string
}

var errDown = errors.New("the issuer is down")

func (k *keyServer) Keys(_ context.Context, issuer string) (jose.JSONWebKeySet, error) {
	k.asked = append(k.asked, issuer)
	if keys, found := k.cached[issuer]; found {
		return keys, nil
	}
	return jose.JSONWebKeySet{}, errDown
}

func (k *keyServer) Refresh(_ context.Context, issuer string) (jose.JSONWebKeySet, error) {
	k.asked = append(k.asked, issuer+" anew")
	if keys, found := k.fresh[issuer]; found {
		return keys, nil
	}
	return jose.JSONWebKeySet{}, errDown
}

// vector is an intent of the format's own tests, and what it takes to verify it.
type vector struct {
	Now     time.Time `json:"now"`
	Issuers []struct {
		URL  string             `json:"url"`
		Keys jose.JSONWebKeySet `json:"keys"`
	} `json:"issuers"`
	Keys     []string `json:"keys"`
	Envelope []byte   `json:"envelope"`
}

func readVector(t *testing.T, name string) (v vector, app App) {
	t.Helper()
	data, err := os.ReadFile("../intent/testdata/vectors/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	app.Signers = []Signer{{Issuer: "https://other.example"}, {Issuer: v.Issuers[0].URL}, {PublicKey: v.Keys[0]}}
	return v, app
}

func TestOnlyTheIssuerOfAnIntentIsAskedForItsKeys(t *testing.T) {
	t.Parallel()
	token, _ := readVector(t, "github-push")
	github := token.Issuers[0].URL
	good, none := map[string]jose.JSONWebKeySet{github: token.Issuers[0].Keys}, map[string]jose.JSONWebKeySet{github: {}}
	for _, test := range []struct {
		name, vector string
		keys         keyServer
		asked        []string
		want         error
	}{
		{"a pinned key has signed, and every issuer is down", "ed25519-push", keyServer{}, nil, nil},
		{"one issuer is down, the other has signed", "github-push", keyServer{cached: good}, []string{github}, nil},
		{"the key is new", "github-push", keyServer{cached: none, fresh: good}, []string{github, github + " anew"}, nil},
		{"the key is unknown", "github-push", keyServer{cached: none, fresh: none}, []string{github, github + " anew"}, intent.ErrUnknownKey},
		{"its issuer is down", "github-push", keyServer{}, []string{github}, errDown},
		{"its issuer is down and a key may be new", "github-push", keyServer{cached: none}, []string{github, github + " anew"}, errDown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v, app := readVector(t, test.vector)
			a := New(Ports{Keys: &test.keys}, Config{Now: func() time.Time { return v.Now }})
			_, err := a.verify(t.Context(), app, v.Envelope)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if errors.Is(err, errDown) && ruleOf(err) != "" {
				t.Errorf("got %v as a verdict, want another try", err)
			}
			if diff := cmp.Diff(test.asked, test.keys.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAReleaseThatCannotBeStoredIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w := newWorld(t)
		w.onMake = func(Release) error {
			tries++
			return &Rejected{Object: Object{Kind: "Release", Name: "storefront-1"}, Message: "spec.definition: Too long"}
		}
		w.publish(t, push(1, 0, 1))
		w.run()
		got := w.app.Status.Refusals
		if len(got) != 1 || got[0].Rule != "format" || !strings.Contains(got[0].Message, "Too long") || tries != 1 {
			t.Fatalf("got refusals %+v after %d tries, want one after one", got, tries)
		}
		if got[0].Unreported(WayCheck) || len(w.checks) != 1 {
			t.Errorf("got %+v, want it reported on its commit", got[0])
		}
	})
}

func TestARollbackByNumberStandsForTheCommitThatItBringsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2, back, flying := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5), push(4, 4, 9)
		back.change = func(p *intent.Predicate) { p.Kind, p.Spec, p.RollbackTo = intent.Rollback, nil, 1 }
		w := newWorld(t)
		w.deploys(t, v1, v2, back, flying)
		want := w.releases[0].Source.Commit
		if len(w.releases) != 3 || w.live["web"] != v1.image() {
			t.Fatalf("got %s, %s live; want the first image back", w.phases(), w.live["web"])
		}
		if got := w.app.Status.Lines[0].LastRollbackBy; got != want {
			t.Errorf("mark: got commit %s, want %s", got, want)
		}
		if got := w.app.Status.Refusals; len(got) != 1 || got[0].SupersededBy != want {
			t.Errorf("build in flight: got %+v, want it superseded by %s", got, want)
		}
		line := w.releases[0].Line
		for _, a := range history(w.app, line, w.releases).Admissions {
			if a.Number == 3 && a.Commit != want {
				t.Errorf("history: got commit %s, want %s", a.Commit, want)
			}
		}
	})
}

func TestARolloutIsSupersededByTheCommitThatIsBroughtBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2, back := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
		back.change = func(p *intent.Predicate) { p.Kind, p.Spec, p.RollbackTo = intent.Rollback, nil, 1 }
		w := newWorld(t)
		w.onWatch = never(v2.image())
		w.deploys(t, v1, v2, back)
		if got, want := w.releases[1].Status.SupersededBy, w.releases[0].Source.Commit; got != want {
			t.Errorf("got superseded by %s, want %s", got, want)
		}
	})
}
