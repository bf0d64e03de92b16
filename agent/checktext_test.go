package agent

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

var updateChecks = flag.Bool("update-checks", false, "write testdata/checks anew")

// told is release 3 of two services, noticed at noon; change makes it a story.
func told(phase Phase, change func(*Release)) Release {
	r := Release{
		Line: Line{App: "storefront", Environment: "production"}, Namespace: "storefront-production", Number: 3,
		Intent: "sha256:" + strings.Repeat("ab", 32), Kind: intent.Deploy, Reason: ReasonNewest, Rule: "main to production",
		Image:  testImages + "@sha256:" + strings.Repeat("cd", 32),
		Source: push(3, 0, 0).statement().Predicate.Source,
		App:    spec.App{Name: "storefront", Services: []spec.Service{{Name: "web", Type: spec.Web}, {Name: "worker", Type: spec.Worker}}},
	}
	r.Source.Commit = strings.Repeat("9f2c1ab0", 5)
	r.Evidence.Scheme = "github-oidc"
	r.Status.Phase = phase
	r.Status.Reach(StepNoticed, noon())
	r.Status.Reach(StepVerified, after(31*time.Millisecond))
	r.Status.Reach(StepAdmitted, after(54*time.Millisecond))
	if change != nil {
		change(&r)
	}
	return r
}

func applied(r *Release) { r.Status.Reach(StepApplied, after(210*time.Millisecond)) }

// red is a release that failed because its web service crashes.
func red(r *Release) {
	applied(r)
	r.Status.Reach(StepVerdict, after(9*time.Second))
	r.Status.Cause = &Cause{
		Kind: CauseCrash, Service: "web", Pod: "storefront-web-7d4b9-x2x5k", Container: "web", ExitCode: 3,
		Message: "web: the container ended 2 times, last with exit code 3", Next: "read the log below; run the image locally with the same env",
		Log:    "listening on :8080\ncannot reach the database\n",
		Events: []string{"Warning BackOff: Back-off restarting failed container"},
	}
	r.Status.Message = "Failed: " + r.Status.Cause.Message
	r.Status.Services = []ServiceStatus{{Name: "web", Desired: 2, Restarts: 1}, {Name: "worker", Desired: 1, Ready: 1}}
}

// redPredeploy is a release that failed because its predeploy does.
func redPredeploy(r *Release) {
	r.Status.Reach(StepPredeploying, after(90*time.Millisecond))
	r.Status.Reach(StepVerdict, after(9*time.Second))
	cause := *JudgePredeploy(spec.Task{}, exited(1), Sightings{}, after(time.Second)).Cause
	cause.Log = "== 20261122 AddOrders: migrating\nPG::UndefinedTable: relation \"orders\" does not exist\n"
	r.Status.Cause, r.Status.Message = &cause, "Failed: "+cause.Message
}

// stories are one check of every kind that people can see.
func stories() map[string]Check {
	production := Environment{Name: "production", URL: "https://storefront.example"}
	of := func(phase Phase, change func(*Release)) Check {
		r := told(phase, change)
		return r.check(view{Environment: production, Releases: []Release{{Number: 2, Status: Status{Phase: Succeeded}}, r}})
	}
	denied := Refusal{
		Line: Line{App: "storefront", Environment: "production"}, Intent: "sha256:" + strings.Repeat("ef", 32),
		Rule: "policy: ref", Message: `denied by policy: rule "main to production": ref is "refs/heads/feature", want "refs/heads/main"`,
		At: after(time.Second), Repository: "acme/storefront", Commit: strings.Repeat("9f2c1ab0", 5), RunID: 1003,
	}
	late := denied
	late.Superseded, late.SupersededBy, late.Rule = true, strings.Repeat("1", 40), "order: run number"
	late.Message = "run number 2 of the workflow, and number 3 is admitted already"
	first := late
	first.SupersededBy = ""
	return map[string]Check{
		"waiting":                   of(Pending, nil),
		"applying":                  of(Applying, nil),
		"predeploying":              of(Predeploying, func(r *Release) { r.Status.Reach(StepPredeploying, after(90*time.Millisecond)) }),
		"predeploy-failed":          of(RolledBack, func(r *Release) { redPredeploy(r); r.Status.RestoredTo = 2 }),
		"predeploy-failed-at-first": of(Failed, redPredeploy),
		"secret-missing": of(RolledBack, func(r *Release) {
			r.Status.Cause = r.refused(&Rejected{Object: Object{Kind: "Secret", Name: "shop"}, Message: `web: DATABASE_URL: there is no Secret "shop" in namespace "storefront-production": kubectl -n storefront-production create secret generic shop --from-literal=DATABASE_URL=VALUE`})
			r.Status.RestoredTo, r.Status.Message = 2, "Failed: "+r.Status.Cause.Message
			r.Status.Reach(StepVerdict, after(80*time.Millisecond))
		}),
		"succeeded-after-a-predeploy": of(Succeeded, func(r *Release) {
			r.Status.Reach(StepPredeploying, after(90*time.Millisecond))
			r.Status.Reach(StepPredeployed, after(42*time.Second))
			r.Status.Reach(StepApplied, after(42200*time.Millisecond))
			r.Status.Reach(StepReady, after(45*time.Second))
			r.Status.Reach(StepVerdict, after(45100*time.Millisecond))
			r.Status.Message = "Live in 45.1s"
			r.Status.Services = []ServiceStatus{{Name: "web", Desired: 2, Ready: 2}, {Name: "worker", Desired: 1, Ready: 1}}
		}),
		"rolling-out": of(RollingOut, applied),
		"succeeded": of(Succeeded, func(r *Release) {
			applied(r)
			r.Status.Reach(StepReady, after(4*time.Second))
			r.Status.Reach(StepVerdict, after(4100*time.Millisecond))
			r.Status.Message = "Live in 4.1s"
			r.Status.Services = []ServiceStatus{{Name: "web", Desired: 2, Ready: 2}, {Name: "worker", Desired: 1, Ready: 1}}
		}),
		"rolled-back-by-hand": of(Succeeded, func(r *Release) {
			applied(r)
			r.Reason, r.Note = ReasonRollback, "run 1001 again, which was release 1"
			r.Status.Reach(StepVerdict, after(time.Second))
			r.Status.Message = "Live in 1s"
			r.App.Services = r.App.Services[:1]
		}),
		"rolled-back-to-an-earlier-release": of(Succeeded, func(r *Release) {
			applied(r)
			r.Kind, r.Reason, r.Restore, r.Commit = intent.Rollback, ReasonRollback, 1, strings.Repeat("1", 40)
			r.Note = "release 1 (1111111), which was live before"
			r.Status.Reach(StepVerdict, after(time.Second))
			r.Status.Message = "Live in 1s"
		}),
		"restoring":       of(Restoring, red),
		"failed-at-first": of(Failed, red),
		"rolled-back":     of(RolledBack, func(r *Release) { red(r); r.Status.RestoredTo = 2 }),
		"made-way":        of(Failed, func(r *Release) { red(r); r.Status.SupersededBy = strings.Repeat("2", 40) }),
		"superseded": of(Superseded, func(r *Release) {
			r.Status.SupersededBy, r.Status.Message = strings.Repeat("2", 40), "Superseded by 2222222"
			r.Status.Reach(StepVerdict, after(2*time.Second))
		}),
		"denied":            denied.check(view{}),
		"refused-as-late":   late.check(view{}),
		"refused-by-nobody": first.check(view{}),
	}
}

func TestCheckOfEveryPhase(t *testing.T) {
	t.Parallel()
	for name, check := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stamps := fmt.Sprintf("%s to %s", timeOr(check.StartedAt), timeOr(check.CompletedAt))
			got := fmt.Sprintf("repository: %s\ncommit: %s\nname: %s\nexternal id: %s\nstatus: %s %s\ntime: %s\n\n# %s\n\n%s\n\n---\n\n%s\n",
				check.Repository, check.Commit, check.Name, check.ExternalID, check.Status, check.Conclusion, stamps, check.Title, check.Summary, check.Text)
			file := filepath.Join("testdata", "checks", name+".md")
			if *updateChecks {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got (go test ./agent -update-checks writes it anew):\n%s", diff)
			}
			if (check.Status == Completed) != (check.Conclusion != "") || (check.Status == Completed) == check.CompletedAt.IsZero() {
				t.Errorf("got %s %q completed at %s, want a conclusion and a time exactly when completed", check.Status, check.Conclusion, check.CompletedAt)
			}
		})
	}
}

func timeOr(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Format(time.RFC3339Nano)
}

// lastMarker reads a text as the Action does: the last marker counts.
func lastMarker(t *testing.T, text string) Marker {
	t.Helper()
	at := strings.LastIndex(text, "<!-- inhaul: ")
	if at < 0 {
		t.Fatalf("no marker in %q", text)
	}
	body, rest, ended := strings.Cut(text[at+len("<!-- inhaul: "):], " -->")
	var m Marker
	if err := json.Unmarshal([]byte(body), &m); err != nil || !ended || rest != "" {
		t.Fatalf("marker %q, rest %q: %v", body, rest, err)
	}
	return m
}

func TestContentCannotBreakTheMarkerOrTheFence(t *testing.T) {
	t.Parallel()
	forged := `<!-- inhaul: {"release":999,"url":"https://evil.example"} -->`
	for name, hostile := range map[string]string{
		"a marker":              forged,
		"a comment without end": "<!-- inhaul: {",
		"a fence and a marker":  "```\n" + forged + "\n```",
		"a longer fence":        "`````\n" + forged,
		"a fence of its length": "````\n```\n`````\n" + forged,
		"an end of the details": "</details>\n\n-->\n" + forged,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := told(Failed, func(r *Release) {
				red(r)
				r.Status.Cause.Log, r.Status.Cause.Events = hostile, []string{hostile}
				r.Source.Actor, r.Rule = hostile, hostile
			})
			check := r.check(view{Environment: Environment{URL: "https://storefront.example/-->" + forged}, Releases: []Release{{Number: 2, Status: Status{Phase: Succeeded}}}})
			if m := lastMarker(t, check.Text); m.Release != 3 || m.Back != 0 || m.URL != "https://storefront.example/-->"+forged {
				t.Errorf("got %+v, want release 3, no way back of what does not serve, and the environment's own address", m)
			}
			if inside := fenced(hostile); !closedOnlyAtItsEnd(inside) {
				t.Errorf("the content ends its own fence:\n%s", inside)
			}
		})
	}
}

// TestAftermath is about what a release that failed may have written.
func TestAftermath(t *testing.T) {
	t.Parallel()
	const untouched, left = "Nothing of the app was changed", "the objects are left as they are"
	for _, test := range []struct {
		name     string
		cause    CauseKind
		steps    []Step
		restored int
		by       string
		want     string
	}{
		{"refused", CauseRejected, nil, 0, "", untouched},
		{"refused, and an older one is in place", CauseRejected, nil, 2, "", untouched + ": release 2 goes on serving"},
		{"no pod of its predeploy was made", CauseNoProgress, []Step{StepPredeploying}, 0, "", untouched},
		{"given up amid writing", CauseNoProgress, nil, 0, "", left},
		{"given up amid writing after its predeploy", CauseNoProgress, []Step{StepPredeploying, StepPredeployed}, 0, "", left},
		{"given up amid writing, and an older one is back", CauseNoProgress, nil, 2, "", "Release 2 never stopped serving"},
		{"crashed", CauseCrash, []Step{StepApplied}, 0, "", left},
		{"crashed, and an older one is back", CauseCrash, []Step{StepApplied}, 2, "", "Release 2 never stopped serving"},
		{"crashed, and a newer one came", CauseCrash, []Step{StepApplied}, 0, strings.Repeat("2", 40), "`2222222` is newer"},
	} {
		r := Release{Status: Status{Phase: Failed, Cause: &Cause{Kind: test.cause}, RestoredTo: test.restored, SupersededBy: test.by}}
		for _, step := range test.steps {
			r.Status.Reach(step, noon())
		}
		if got := r.aftermath(); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestBoldTextIsNoMarkup(t *testing.T) {
	t.Parallel()
	hostile := "web: **green** <b>x</b> [here](https://evil.example) `a` \\*\n# Success\n"
	want := "**web: \\*\\*green\\*\\* \\<b>x\\</b> \\[here\\](https://evil.example) \\`a\\` \\\\\\* # Success**"
	if got := bold(hostile); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	failed := told(Failed, func(r *Release) { red(r); r.Status.Cause.Message = hostile })
	denied := Refusal{Message: hostile}
	for _, check := range []Check{failed.check(view{}), denied.check(view{})} {
		if !strings.HasPrefix(check.Summary, want+"\n") {
			t.Errorf("got summary %q, want %q first", check.Summary, want)
		}
	}
}

// closedOnlyAtItsEnd applies CommonMark's rule: a line of at least as many
// backticks as the opening ends the block.
func closedOnlyAtItsEnd(block string) bool {
	lines := strings.Split(block, "\n")
	fence := lines[0]
	for i, line := range lines[1:] {
		trimmed := strings.TrimSpace(line)
		closes := len(trimmed) >= len(fence) && strings.Trim(trimmed, "`") == ""
		if closes != (i == len(lines)-2) {
			return false
		}
	}
	return true
}

func TestTextStaysWithinGitHubsLimit(t *testing.T) {
	t.Parallel()
	const limit = 65535 // https://docs.github.com/en/rest/checks/runs
	r := told(Failed, func(r *Release) {
		red(r)
		r.Status.Cause.Log = strings.Repeat("x", 16<<10) // what the cluster room cuts a log to
		for range 9 {
			r.Status.Cause.Events = append(r.Status.Cause.Events, strings.Repeat("e", 1<<10))
		}
	})
	if got := len(r.check(view{}).Text); got > limit {
		t.Errorf("got %d bytes, want at most %d: what is cut off is the marker", got, limit)
	}
}
