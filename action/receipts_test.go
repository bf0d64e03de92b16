package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/receipt"
)

// speaker is an agent without GitHub: it answers the one intent of a world.
type speaker struct {
	t      *testing.T
	w      *world
	signer *envelope.KeySigner
	intent intent.Statement
	digest string
	number int
}

func newSpeaker(t *testing.T, w *world) *speaker {
	t.Helper()
	private, err := envelope.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s := &speaker{t: t, w: w}
	if s.signer, err = envelope.NewKeySigner(private); err != nil {
		t.Fatal(err)
	}
	w.check = func(time.Duration) (Check, bool, error) { return Check{}, false, nil }
	return s
}

// says publishes the next receipt: a release that rolls out, but for the change.
func (s *speaker) says(change func(*receipt.Predicate)) {
	s.t.Helper()
	const intents = "example.com/shop-intents"
	if s.digest == "" {
		tags, err := s.w.registry.List(s.t.Context(), intents)
		if err != nil || len(tags) == 0 {
			s.t.Fatalf("got the tags %v, %v, want one", tags, err)
		}
		data, err := s.w.registry.Fetch(s.t.Context(), intents, tags[0])
		if err != nil {
			s.t.Fatal(err)
		}
		decoded, err := intent.Decode(data)
		if err != nil {
			s.t.Fatal(err)
		}
		s.intent, s.digest = decoded.Claimed(), decoded.Digest()
	}
	s.number++
	asked := s.intent.Predicate
	head := asked.Source.Commit
	if asked.Source.HeadCommit != "" {
		head = asked.Source.HeadCommit
	}
	p := receipt.Predicate{
		Number: s.number, App: asked.App, Environment: asked.Environment, Release: 12, IssuedAt: s.w.now.Truncate(time.Millisecond),
		Check: receipt.Check{
			Repository: asked.Source.Repository, Commit: head, Name: "inhaul / " + asked.Environment, ExternalID: s.digest,
			Status: "in_progress", Title: "Release 12 is rolling out",
		},
		Marker: &receipt.Marker{Release: 12, URL: "https://shop.example.org"},
	}
	change(&p)
	data, err := receipt.Sign(s.t.Context(), p.Check.ExternalID, p, s.signer)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.w.registry.PublishReceipt(s.t.Context(), intents, s.digest, s.number, data); err != nil {
		s.t.Fatal(err)
	}
}

func concluded(conclusion, title string) func(*receipt.Predicate) {
	return func(p *receipt.Predicate) {
		p.Final, p.Check.Status, p.Check.Conclusion, p.Check.Title = true, "completed", conclusion, title
	}
}

func same(*receipt.Predicate) {}

func table(ready int) func(*receipt.Predicate) {
	return func(p *receipt.Predicate) {
		p.Check.Summary = fmt.Sprintf("| service | desired | ready | restarts | image |\n|---|---|---|---|---|\n| `web` | 2 | %d | 0 | `5b20fe387947` |\n\nall of it\n", ready)
	}
}

// at has the speaker say what belongs to the seconds of waiting that have passed.
func (s *speaker) at(says map[int]func(*receipt.Predicate)) {
	s.w.sleeping = func(slept time.Duration) {
		second := int(slept / time.Second)
		if change, ok := says[second]; ok {
			delete(says, second)
			s.says(change)
		}
	}
}

func TestReceiptsAloneTurnTheJobGreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSpeaker(t, w)
	s.at(map[int]func(*receipt.Predicate){2: table(0), 3: table(1), 4: table(1), 9: concluded("success", "Live in 9 s")})
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := w.out.String()
	for _, want := range []string{
		`::group::waiting for "inhaul / production", at most 15m0s`,
		"    2.0 s  in_progress: Release 12 is rolling out\n", "    2.0 s  web: 0 of 2 ready\n", "    3.0 s  web: 1 of 2 ready\n",
		"    9.0 s  completed: Live in 9 s\n::endgroup::\ndeployed to production: Live in 9 s\n",
		"is signed by the key " + s.signer.Public().ID(), "set the input receipt-key to what `kubectl -n inhaul get configmap inhaul-receipt-key",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("got\n%s\nwant %q in it", log, want)
		}
	}
	if n := strings.Count(log, "web: 1 of 2 ready"); n != 1 {
		t.Errorf("got %d lines of what has not changed, want 1", n)
	}
	if n := strings.Count(log, "is signed by the key"); n != 1 {
		t.Errorf("got the key's fingerprint %d times, want once", n)
	}
	want := []string{
		"check 0 on 0123456 of acme/shop: inhaul / production: in_progress: Release 12 is rolling out",
		"check 4711 on 0123456 of acme/shop: inhaul / production: in_progress: Release 12 is rolling out",
		"check 4711 on 0123456 of acme/shop: inhaul / production: completedsuccess: Live in 9 s",
	}
	if diff := cmp.Diff(want, w.wrote); diff != "" {
		t.Errorf("to GitHub: got +, want -\n%s", diff)
	}
	if outputs := w.read(t, "GITHUB_OUTPUT"); !strings.Contains(outputs, "https://shop.example.org") || !strings.Contains(outputs, "12") {
		t.Errorf("got the outputs\n%s", outputs)
	}
	if len(w.asked) > 3 {
		t.Errorf("GitHub was asked %d times, want no more once receipts had come", len(w.asked))
	}
}

func TestARedReceiptTurnsTheJobRed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSpeaker(t, w)
	s.at(map[int]func(*receipt.Predicate){1: same, 2: func(p *receipt.Predicate) {
		concluded("failure", "Failed: web: nothing listens on port 8080")(p)
		p.Check.Summary = "**web: nothing listens on port 8080.**"
	}})
	err := w.Run(t.Context())
	if ExitCode(err) != 1 || !strings.Contains(w.out.String(), "the deploy to production failed: Failed: web: nothing listens on port 8080%0Aweb: nothing listens on port 8080.%0ANext: see ") {
		t.Errorf("got %v and\n%s", err, w.out)
	}
	if last := w.wrote[len(w.wrote)-1]; !strings.Contains(last, "completedfailure") {
		t.Errorf("the last word on GitHub: got %s, want the failure", last)
	}
}

func TestAnAgentThatReportsItselfIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"the receipt", "the check run"} {
		w := newWorld(t)
		s := newSpeaker(t, w)
		reported := func(p *receipt.Predicate) { p.Reported = true }
		says := map[int]func(*receipt.Predicate){1: reported}
		if first == "the receipt" {
			says[3] = func(p *receipt.Predicate) { concluded("success", "Live in 3 s")(p); reported(p) }
		} else {
			w.check = func(after time.Duration) (Check, bool, error) {
				if after < 3*time.Second {
					return Check{}, false, nil
				}
				return Check{Status: "completed", Conclusion: "success", Title: "Live in 3 s"}, true, nil
			}
		}
		s.at(says)
		if err := w.Run(t.Context()); err != nil || !strings.Contains(w.out.String(), "deployed to production: Live in 3 s") {
			t.Errorf("%s: got %v and\n%s", first, err, w.out)
		}
		if len(w.wrote) > 0 {
			t.Errorf("%s: got %q written, want nothing: the agent does", first, w.wrote)
		}
	}
}

func TestReceiptsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*receipt.Predicate)
		want   string
	}{
		{"another app", func(p *receipt.Predicate) { p.App = "api" }, "the cluster's App that watches example.com/shop-intents is called api, and inhaul.yaml says `app: shop`\nNext: give both one name"},
		{"another environment", func(p *receipt.Predicate) { p.Environment = "staging" }, "the receipt is for another environment: got staging, want production"},
		{"another commit", func(p *receipt.Predicate) { p.Check.Commit = strings.Repeat("9", 40) }, "the receipt is for another commit: got 9999"},
		{"another repository", func(p *receipt.Predicate) { p.Check.Repository = "acme/api" }, "the receipt is for another repository: got acme/api, want acme/shop"},
		{"another intent", func(p *receipt.Predicate) { p.Check.ExternalID = "sha256:" + strings.Repeat("9", 64) }, "the receipt is for another intent: got sha256:9999"},
		{"another number", func(p *receipt.Predicate) { p.Number = 3 }, "published as number 1 says that it is number 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := newSpeaker(t, w)
			s.at(map[int]func(*receipt.Predicate){2: func(p *receipt.Predicate) { concluded("success", "Live")(p); c.change(p) }})
			if err := w.Run(t.Context()); ExitCode(err) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(w.wrote) > 0 {
				t.Errorf("got %q written, want nothing", w.wrote)
			}
		})
	}
}

func TestAPinnedKeyIsTheOnlyOneThatCounts(t *testing.T) {
	t.Parallel()
	for _, ours := range []bool{true, false} {
		w := newWorld(t)
		s := newSpeaker(t, w)
		pinned := s.signer.Public()
		if !ours {
			pinned = newSpeaker(t, w).signer.Public()
		}
		w.env["INPUT_RECEIPT-KEY"] = pinned.PEM()
		s.at(map[int]func(*receipt.Predicate){2: concluded("success", "Live")})
		err := w.Run(t.Context())
		switch {
		case ours && (err != nil || strings.Contains(w.out.String(), "taken as found")):
			t.Errorf("the pinned key: got %v and\n%s", err, w.out)
		case !ours && (ExitCode(err) != 1 || !strings.Contains(err.Error(), s.signer.Public().ID()) || !strings.Contains(err.Error(), pinned.ID())):
			t.Errorf("another key: got %v, want an error that names both", err)
		}
	}
}

func TestAMissingPermissionChangesNothingOfTheDeploy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSpeaker(t, w)
	w.refuse = fmt.Errorf("%w: 403", ErrMayNotWrite)
	s.at(map[int]func(*receipt.Predicate){1: same, 5: same, 9: concluded("success", "Live")})
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.out.String(), "::notice::the check run is not written: give the job `permissions: {checks: write}`"); n != 1 {
		t.Errorf("got %d notices, want one:\n%s", n, w.out)
	}
}

func TestNoRightToReadChecksIsNoMatterWithReceipts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSpeaker(t, w)
	w.check = func(time.Duration) (Check, bool, error) { return Check{}, false, fmt.Errorf("%w: 403", ErrNoAccess) }
	s.at(map[int]func(*receipt.Predicate){20: same, 100: concluded("success", "Live")})
	if err := w.Run(t.Context()); err != nil || len(w.asked) != 1 {
		t.Errorf("got %v after %d questions to GitHub", err, len(w.asked))
	}
}

// moody is a registry that refuses what comes after the first receipt.
type moody struct {
	Receipts
	asked   int
	refuses func() bool
}

func (r *moody) FetchReceipt(ctx context.Context, repository, intent string, number int) ([]byte, bool, error) {
	if r.asked++; number > 1 && r.refuses() {
		return nil, false, userError("refused by registry", "log in")
	}
	return r.Receipts.FetchReceipt(ctx, repository, intent, number)
}

func TestARegistryThatWasReadIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{true, false} {
		w := newWorld(t)
		s := newSpeaker(t, w)
		registry := &moody{Receipts: w.Receipts, refuses: func() bool { return !back || s.number < 2 }}
		w.Receipts = registry
		s.at(map[int]func(*receipt.Predicate){1: same, 9: concluded("success", "Live")})
		err := w.Run(t.Context())
		switch {
		case back && err != nil:
			t.Errorf("refused for some seconds: got %v, want the verdict", err)
		case !back && (ExitCode(err) != 1 || !strings.Contains(err.Error(), "refused by registry")):
			t.Errorf("refused for good: got %v, want an error that says so", err)
		case registry.asked > 1000:
			t.Errorf("got %d questions in a quarter of an hour, want one in some seconds", registry.asked)
		}
	}
}

func TestWhatTheActionHasBegunItEnds(t *testing.T) {
	t.Parallel()
	t.Run("after the timeout", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s := newSpeaker(t, w)
		s.at(map[int]func(*receipt.Predicate){2: same})
		err := w.Run(t.Context())
		if ExitCode(err) != 1 || !strings.Contains(err.Error(), "still going after 15m0s (Release 12 is rolling out)") || !strings.Contains(err.Error(), "runs/4711") {
			t.Errorf("got %v", err)
		}
		want := "check 4711 on 0123456 of acme/shop: inhaul / production: completedtimed_out: The workflow stopped waiting after 15m0s · Release 12 is rolling out"
		if len(w.wrote) != 2 || w.wrote[1] != want {
			t.Errorf("got %q, want it to end with %q", w.wrote, want)
		}
	})
	t.Run("of a cancelled job", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s := newSpeaker(t, w)
		ctx, cancel := context.WithCancel(t.Context())
		s.at(map[int]func(*receipt.Predicate){2: same})
		speak := w.sleeping
		w.sleeping = func(slept time.Duration) {
			speak(slept)
			if slept > 4*time.Second {
				cancel()
			}
		}
		if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want a cancelled context", err)
		}
		if len(w.wrote) != 2 || !strings.Contains(w.wrote[1], "completedcancelled: The workflow stopped waiting because it was cancelled") {
			t.Errorf("got %q, want it to end as cancelled", w.wrote)
		}
	})
	t.Run("and not what the agent has ended", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s := newSpeaker(t, w)
		s.at(map[int]func(*receipt.Predicate){2: concluded("failure", "Failed")})
		if err := w.Run(t.Context()); err == nil || len(w.wrote) != 1 {
			t.Errorf("got %v and %q, want one write", err, w.wrote)
		}
	})
}

func TestWithoutWaitNothingIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	newSpeaker(t, w)
	w.env["INPUT_WAIT"] = "false"
	if err := w.Run(t.Context()); err != nil || len(w.wrote) > 0 || len(w.asked) > 0 {
		t.Errorf("got %v, %q written and %q asked, want nothing", err, w.wrote, w.asked)
	}
}

func TestServicesOfASummary(t *testing.T) {
	t.Parallel()
	got := services("text\n\n| service | desired | ready | restarts | image |\n|:--|--:|--:|--:|---|\n| `web` | 2 | 1 | 0 | `5b20` |\n| **api** | 1 | 1 | 3 | `5b21` |\n\n| job | state |\n|---|---|\n| seed | done |\n" +
		"\n| service | ready |\n|---|---|\n| worker | 2 of 2 |\n")
	if diff := cmp.Diff([]string{"web: 1 of 2 ready", "api: 1 of 1 ready", "worker: 2 of 2 ready"}, got); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
}
