package action

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/intent"
)

// rollbackWorld is a workflow that somebody started by hand, with nothing checked
// out: the agent brings release 4 back.
func rollbackWorld(t *testing.T, target string) *world {
	t.Helper()
	w := newWorld(t)
	clear(w.files)
	w.programs.installed = nil
	with(w.env, "GITHUB_EVENT_NAME", "workflow_dispatch", "INPUT_ROLLBACK-TO", target, "INPUT_APP", "shop", "INPUT_ENVIRONMENT", "production")
	w.check = func(time.Duration) (Check, bool, error) {
		return Check{
			Status: "completed", Conclusion: "success", Title: "Live in 1s", Summary: "Rollback: release 4 (abababa), which was live before.",
			Text: `<!-- inhaul: {"release":7,"back":6,"restored":4,"commit":"` + strings.Repeat("ab", 20) + `","image":"` + restoredImage + `"} -->`,
		}, true, nil
	}
	return w
}

var restoredImage = "example.com/shop@sha256:" + strings.Repeat("cd", 32)

func TestARollbackNeedsNothingButItsTarget(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]intent.Predicate{
		"previous": {RollbackToPrevious: true},
		"4":        {RollbackTo: 4},
		"abababa":  {RollbackToCommit: "abababa"},
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			w := rollbackWorld(t, target)
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			all := w.intents(t, "example.com/shop-intents")
			if len(all) != 1 || len(w.programs.argv) != 0 {
				t.Fatalf("got %d intents and programs %v, want one and none", len(all), w.programs.argv)
			}
			got := all[0].Predicate
			if got.Source.Commit != commit || got.Spec != nil || all[0].Image() != "" {
				t.Errorf("got %+v of image %q, want the workflow's commit alone", got, all[0].Image())
			}
			want.Kind, want.App, want.Environment = intent.Rollback, "shop", "production"
			got.Source, got.IssuedAt, got.ExpiresAt = want.Source, want.IssuedAt, want.ExpiresAt
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("got +, want -\n%s", diff)
			}
			for _, want := range []string{restoredImage + "\n", "sha256:" + strings.Repeat("cd", 32) + "\n", "production\n", "7\n"} {
				if output := w.read(t, "GITHUB_OUTPUT"); !strings.Contains(output, want) {
					t.Errorf("got outputs\n%s, want %q in them", output, want)
				}
			}
			summary := w.read(t, "GITHUB_STEP_SUMMARY")
			for _, want := range []string{"✅ Rolled back: shop → production", "release #4", "`rollback-to: 6`", strings.Repeat("ab", 20), restoredImage, "which was live before"} {
				if !strings.Contains(summary, want) {
					t.Errorf("got the summary\n%s, want %q in it", summary, want)
				}
			}
			if !strings.Contains(w.out.String(), "rolled back production") {
				t.Errorf("got\n%s, want it told", w.out)
			}
		})
	}
}

func TestADeployTellsTheWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.check = func(time.Duration) (Check, bool, error) {
		return Check{Status: "completed", Conclusion: "success", Text: `<!-- inhaul: {"release":7,"back":6} -->`}, true, nil
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if summary := w.read(t, "GITHUB_STEP_SUMMARY"); !strings.Contains(summary, "| **Undo** | `rollback-to: 6` |") {
		t.Errorf("got the summary\n%s, want the way back in it", summary)
	}
}

// TestARollbackReadsWhatIsCheckedOut has an inhaul.yaml say which app, where its
// intents belong, and which environment the branch means.
func TestARollbackReadsWhatIsCheckedOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		env    []string
		want   map[string]string // repository to app
	}{
		"the only app":         {"app: shop\nservices: {web: {type: web}}\n", []string{"INPUT_APP", "", "INPUT_ENVIRONMENT", ""}, map[string]string{"example.com/shop-intents": "shop"}},
		"one of several":       {twoApps, nil, map[string]string{"example.com/shop/shop-intents": "shop"}},
		"all of several":       {twoApps, []string{"INPUT_APP", ""}, map[string]string{"example.com/shop/shop-intents": "shop", "example.com/shop/api-intents": "api"}},
		"intents of their own": {twoApps, []string{"INPUT_APP", "", "INPUT_IMAGE-REPOSITORY", "", "INPUT_INTENTS-REPOSITORY", "example.com/i"}, map[string]string{"example.com/i/shop": "shop", "example.com/i/api": "api"}},
		"several, of nothing":  {"", []string{"INPUT_APP", "shop,api,shop"}, map[string]string{"example.com/shop/shop-intents": "shop", "example.com/shop/api-intents": "api"}},
		"what does not build":  {"app: shop\nbuild: {context: ../x}\nservices: {web: {type: web}}\n", nil, map[string]string{"example.com/shop-intents": "shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := rollbackWorld(t, "previous")
			if c.config != "" {
				w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte(c.config)}
			}
			with(w.env, c.env...)
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			for repository, app := range c.want {
				all := w.intents(t, repository)
				if len(all) != 1 || all[0].Predicate.App != app || all[0].Predicate.Environment != "production" {
					t.Errorf("%s: got %+v, want one for %s", repository, all, app)
				}
			}
			if len(w.asked) != len(c.want) {
				t.Errorf("got %d rollbacks, want %d", len(w.asked), len(c.want))
			}
		})
	}
}

func TestRollbackFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"nothing says which app":         {func(w *world) { w.env["INPUT_APP"] = "" }, []string{"there is no inhaul.yaml", "give the inputs app and environment"}},
		"nothing says which environment": {func(w *world) { w.env["INPUT_ENVIRONMENT"] = "" }, []string{"give the inputs app and environment"}},
		"no environment has the branch": {func(w *world) {
			w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: shop\nservices: {web: {type: web}}\n")}
			with(w.env, "INPUT_ENVIRONMENT", "", "GITHUB_REF", "refs/heads/fix")
		}, []string{"no environment of inhaul.yaml has the branch", "with the environment input"}},
		"an app that is none":        {func(w *world) { w.env["INPUT_APP"] = "Shop" }, []string{`app "Shop" is not a DNS label`, "correct `with:`"}},
		"a number of several apps":   {func(w *world) { with(w.env, "INPUT_ROLLBACK-TO", "4", "INPUT_APP", "shop,api") }, []string{"release 4 is another one for each app"}},
		"a target that is none":      {func(w *world) { w.check = check("action_required", "Denied: order: rollback target") }, []string{"the rollback of production was denied: Denied: order: rollback target"}},
		"a rollback that goes wrong": {func(w *world) { w.check = check("failure", "Failed") }, []string{"the rollback of production failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := rollbackWorld(t, "previous")
			c.change(w)
			err := w.Run(t.Context())
			if ExitCode(err) != 1 {
				t.Errorf("got exit code %d for %v, want 1", ExitCode(err), err)
			}
			for _, want := range c.want {
				if !strings.Contains(w.out.String(), want) {
					t.Errorf("got\n%s\nwant %q in it", w.out, want)
				}
			}
		})
	}
}
