package action

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/inhaul/inhaul/intent"
)

var headCommit = strings.Repeat("ab", 20)

// object is a part of a payload.
type object = map[string]any

// happens makes the workflow's event another one, with that payload.
func (w *world) happens(event string, payload object) {
	w.t.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.env["GITHUB_EVENT_PATH"], data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.env["GITHUB_EVENT_NAME"] = event
}

// pulled makes the event one of pull request 7, changed as said.
func (w *world) pulled(action string, changes ...object) {
	w.t.Helper()
	pr := object{
		"number": 7, "state": "open", "updated_at": "2026-11-22T23:14:00Z",
		"head": object{"sha": headCommit, "ref": "feature", "repo": object{"id": 42}},
	}
	if action == "closed" {
		pr["state"] = "closed"
	}
	payload := object{"action": action, "number": 7, "pull_request": pr, "repository": object{"id": 42}}
	for _, change := range changes {
		if label, ok := change["label"]; ok {
			payload["label"] = label
			continue
		}
		maps.Copy(pr, change)
	}
	w.happens("pull_request", payload)
	with(w.env, "GITHUB_REF", "refs/pull/7/merge", "GITHUB_WORKFLOW_REF", "acme/shop/.github/workflows/deploy.yml@refs/pull/7/merge")
}

// The changes that stories need.
func fork() object { return object{"head": object{"sha": headCommit, "repo": object{"id": 43}}} }

func labels(names ...string) object {
	all := []object{}
	for _, name := range names {
		all = append(all, object{"name": name})
	}
	return object{"labels": all}
}

func labelled(name string) object { return object{"label": object{"name": name}} }

func TestWhatEventsAskFor(t *testing.T) {
	t.Parallel()
	none := object{}
	released := object{"target_commitish": "main", "published_at": "2026-11-22T23:13:00Z"}
	for name, c := range map[string]struct {
		happens func(*world)
		kind    intent.Kind // empty: nothing
		where   string
		at      string // of the event; empty: now
		says    string
	}{
		"a pull request that is opened gets a preview":   {func(w *world) { w.pulled("opened") }, intent.Deploy, "pr-7", "23:14:00", ""},
		"one that is reopened gets it back":              {func(w *world) { w.pulled("reopened") }, intent.Deploy, "pr-7", "23:14:00", ""},
		"a push to it brings it up to date":              {func(w *world) { w.pulled("synchronize") }, intent.Deploy, "pr-7", "23:14:00", ""},
		"one that is closed loses it":                    {func(w *world) { w.pulled("closed") }, intent.Destroy, "pr-7", "23:14:00", ""},
		"one that is closed loses it whatever its label": {func(w *world) { w.pulled("closed", labels(noPreview)) }, intent.Destroy, "pr-7", "23:14:00", ""},
		"the label no-preview takes it away": {func(w *world) {
			w.pulled("labeled", labels(noPreview), labelled(noPreview))
		}, intent.Destroy, "pr-7", "23:14:00", ""},
		"without the label it comes back": {func(w *world) { w.pulled("unlabeled", labelled(noPreview)) }, intent.Deploy, "pr-7", "23:14:00", ""},
		"with the label there is none":    {func(w *world) { w.pulled("synchronize", labels("bug", noPreview)) }, "", "", "", "it has the label no-preview"},
		"another label says nothing":      {func(w *world) { w.pulled("labeled", labels("bug"), labelled("bug")) }, "", "", "", `the label "bug" says nothing`},
		"a label of a closed one says nothing": {func(w *world) {
			w.pulled("unlabeled", labelled(noPreview), object{"state": "closed"})
		}, "", "", "", "pull request #7 is closed"},
		"what else happens to it says nothing": {func(w *world) { w.pulled("ready_for_review") }, "", "", "", "pull request #7 was ready_for_review"},
		"previews may be switched off": {func(w *world) {
			w.env["INPUT_PREVIEWS"] = "false"
			w.pulled("opened")
		}, "", "", "", "the input previews is false"},
		"a fork gets none, and is told why": {func(w *world) {
			w.pulled("opened", fork())
			with(w.env, "ACTIONS_ID_TOKEN_REQUEST_URL", "", "INPUT_TOKEN", "", "INPUT_IMAGE-REPOSITORY", "")
		}, "", "", "", "neither secrets nor an ID token"},
		"a fork that is gone counts as one": {func(w *world) {
			w.pulled("synchronize", object{"head": object{"sha": headCommit, "repo": nil}})
		}, "", "", "", "it comes from a fork"},
		"a fork that is closed had none": {func(w *world) { w.pulled("closed", fork()) }, "", "", "", "had no preview: it came from a fork"},
		"a release means the environment of its branch": {func(w *world) {
			w.happens("release", object{"action": "published", "release": released})
			w.env["GITHUB_REF"] = "refs/tags/v1"
		}, intent.Deploy, "production", "23:13:00", ""},
		"a release of a commit means none": {func(w *world) {
			w.happens("release", object{"action": "published", "release": object{"target_commitish": commit}})
			w.env["GITHUB_REF"] = "refs/tags/v1"
		}, "", "", "", "refs/tags/v1 deploys shop nowhere"},
		"a release means the environment that is named": {func(w *world) {
			w.happens("release", object{"action": "published", "release": object{"target_commitish": commit}})
			with(w.env, "GITHUB_REF", "refs/tags/v1", "INPUT_ENVIRONMENT", "production")
		}, intent.Deploy, "production", "", ""},
		"a release that is edited deploys nothing": {func(w *world) {
			w.happens("release", object{"action": "edited", "release": released})
		}, "", "", "", "only a release that is published does"},
		"a schedule deploys what its branch means, and is as old as the last push": {func(w *world) {
			w.happens("schedule", object{"schedule": "0 3 * * *", "repository": object{"pushed_at": "2026-11-22T20:00:00Z"}})
		}, intent.Deploy, "production", "20:00:00", ""},
		"a dispatch of another program deploys too": {func(w *world) { w.happens("repository_dispatch", none) }, intent.Deploy, "production", "", ""},
		"a dispatch by hand deploys":                {func(w *world) { w.happens("workflow_dispatch", none) }, intent.Deploy, "production", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.happens(w)
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			published := w.intents(t, "example.com/shop-intents")
			if c.kind == "" {
				if len(published) != 0 || len(w.programs.argv) != 0 || !strings.Contains(w.out.String(), "::notice::") || !strings.Contains(w.out.String(), c.says) {
					t.Errorf("got %d intents, the programs %v and\n%s\nwant a notice with %q alone", len(published), w.programs.argv, w.out, c.says)
				}
				return
			}
			if len(published) != 1 {
				t.Fatalf("got %d intents, want one\n%s", len(published), w.out)
			}
			got := published[0].Predicate
			if c.at == "" {
				c.at = "23:15:02"
			}
			if at := got.Source.EventAt.Format(time.TimeOnly); got.Kind != c.kind || got.Environment != c.where || at != c.at {
				t.Errorf("got a %s of %s, of an event at %s; want a %s of %s, at %s", got.Kind, got.Environment, at, c.kind, c.where, c.at)
			}
			pulled := w.env["GITHUB_EVENT_NAME"] == "pull_request"
			if (got.Source.PullRequest == 7) != pulled || (got.Source.HeadCommit == headCommit) != pulled || got.Source.Commit != commit {
				t.Errorf("got the source %+v, want the pull request and its head commit in it: %v", got.Source, pulled)
			}
		})
	}
}

func TestThePreviewsVerdictIsOnTheHeadCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pulled("opened")
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	if want := "acme/shop " + headCommit + " inhaul / pr-7 "; len(w.asked) != 1 || !strings.HasPrefix(w.asked[0], want) {
		t.Errorf("asked for %q, want %q", w.asked, want)
	}
	app := w.intents(t, "example.com/shop-intents")[0]
	if !strings.HasPrefix(app.Image(), "example.com/shop@sha256:") || app.Predicate.Spec == nil {
		t.Errorf("got %+v, want an image and a spec", app)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(*world)
		want    string
	}{
		"the target's context":         {func(w *world) { w.happens("pull_request_target", nil) }, "has the trust of the base branch"},
		"a run after another":          {func(w *world) { w.happens("workflow_run", nil) }, "has the trust of the base branch"},
		"a merge queue":                {func(w *world) { w.happens("merge_group", nil) }, "nothing is merged yet"},
		"another event":                {func(w *world) { w.happens("issue_comment", nil) }, `the event "issue_comment" cannot be deployed`},
		"a rollback by a pull request": {func(w *world) { w.pulled("opened"); w.env["INPUT_ROLLBACK-TO"] = "previous" }, "cannot ask for a rollback"},
		"production by a pull request": {func(w *world) { w.pulled("opened"); w.env["INPUT_ENVIRONMENT"] = "production" }, "deploys to its preview alone, pr-7"},
		"a preview by hand": {func(w *world) {
			w.happens("workflow_dispatch", nil)
			w.env["INPUT_ENVIRONMENT"] = "pr-7"
		}, "its own events alone make and change it"},
		"a pull request without number": {func(w *world) {
			w.happens("pull_request", object{"action": "opened", "repository": object{"id": 42}, "pull_request": object{"head": object{"repo": object{"id": 42}}}})
		}, "got pull request 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.happens(w)
			err := w.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got := w.intents(t, "example.com/shop-intents"); len(got) != 0 {
				t.Errorf("got %d intents, want none", len(got))
			}
			if summary := w.read(t, "GITHUB_STEP_SUMMARY"); !strings.Contains(summary, "### ❌ Not ") {
				t.Errorf("got the summary\n%s\nwant it told", summary)
			}
		})
	}
}

func TestACloseNeedsNoCode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		want   map[string]string // repository to app
		asked  int
		err    string
	}{
		"of the only app":              {func(*world) {}, map[string]string{"example.com/shop-intents": "shop"}, 1, ""},
		"of all apps":                  {func(w *world) { w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte(twoApps)} }, map[string]string{"example.com/shop/api-intents": "api", "example.com/shop/shop-intents": "shop"}, 0, ""},
		"when the file is gone":        {func(w *world) { clear(w.files); w.env["INPUT_APP"] = "shop" }, map[string]string{"example.com/shop-intents": "shop"}, 1, ""},
		"when the file is broken":      {func(w *world) { w.files["inhaul.yaml"].Data = []byte("apps: ["); w.env["INPUT_APP"] = "shop" }, map[string]string{"example.com/shop-intents": "shop"}, 1, ""},
		"when nothing says which apps": {func(w *world) { clear(w.files) }, nil, 0, "name them in the app input"},
		"when no program is there":     {func(w *world) { w.programs.installed = nil }, map[string]string{"example.com/shop-intents": "shop"}, 1, ""},
		"of all apps, though an image is given for other events": {func(w *world) {
			w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte(twoApps)}
			w.env["INPUT_IMAGE"] = "example.com/shop/api@sha256:" + strings.Repeat("ab", 32)
		}, map[string]string{"example.com/shop/api-intents": "api", "example.com/shop/shop-intents": "shop"}, 0, ""},
		"though an image is given for other events": {func(w *world) { w.env["INPUT_IMAGE"] = "example.com/shop@sha256:" + strings.Repeat("ab", 32) }, map[string]string{"example.com/shop-intents": "shop"}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.pulled("opened")
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			w.pulled("closed")
			w.now, w.asked, w.programs.argv = w.now.Add(time.Hour), nil, nil
			c.change(w)
			err := w.Run(t.Context())
			if c.err != "" {
				if ExitCode(err) != 1 || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			for repository, app := range c.want {
				all := w.intents(t, repository)
				if last := all[len(all)-1]; last.Predicate.Kind != intent.Destroy || last.Predicate.App != app || last.Predicate.Environment != "pr-7" || last.Image() != "" || last.Predicate.Spec != nil {
					t.Errorf("%s: got %+v, want a destroy of %s", repository, last, app)
				}
			}
			if len(w.asked) != c.asked || len(w.programs.argv) != 0 {
				t.Errorf("got %d questions and the programs %v, want %d and none", len(w.asked), w.programs.argv, c.asked)
			}
		})
	}
}

func TestAnAppOfAMonorepoIsFoundWithoutItsFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte(twoApps)}
	w.files["api/Dockerfile"], w.files["shop/Dockerfile"] = w.files["Dockerfile"], w.files["Dockerfile"]
	w.pulled("opened")
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	clear(w.files)
	w.pulled("closed")
	w.env["INPUT_APP"] = "api"
	w.now = w.now.Add(time.Hour)
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	if all := w.intents(t, "example.com/shop/api-intents"); len(all) != 2 || all[1].Predicate.Kind != intent.Destroy {
		t.Errorf("got %d intents, want the destroy where the deploy is", len(all))
	}
}

func TestWhatNeverExistedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pulled("closed")
	w.check = func(time.Duration) (Check, bool, error) { return Check{}, false, nil } // no agent knows it
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	if all := w.intents(t, "example.com/shop-intents"); len(all) != 1 || all[0].Predicate.Kind != intent.Destroy {
		t.Errorf("got %d intents, want a destroy: a build may still be on its way", len(all))
	}
	if len(w.asked) != 0 {
		t.Errorf("asked for %q, want nothing", w.asked)
	}
}

func TestAnImageIsNamedByWhatIsCheckedOut(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("cd", 20)
	w := newWorld(t)
	w.programs.installed, w.programs.head = append(w.programs.installed, "git"), other+"\n"
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	build := w.programs.argv[len(w.programs.argv)-1]
	if tag := after(build, "--tag"); !strings.HasPrefix(tag, "example.com/shop:"+other+"-") {
		t.Errorf("got the tag %s, want that of the commit that is checked out", tag)
	}
	if source := w.intents(t, "example.com/shop-intents")[0].Predicate.Source; source.Commit != commit || source.HeadCommit != "" {
		t.Errorf("got the source %+v, want the run's commit", source)
	}
}

func TestTheEndOfAPullRequestPlansNoEndOfAnEnvironment(t *testing.T) {
	t.Parallel()
	for _, ends := range []string{"closed", "labeled"} {
		w := newWorld(t)
		w.pulled(ends, object{"label": object{"name": noPreview}})
		with(w.env, "INPUT_DRY-RUN", "true", "INPUT_ENVIRONMENT", "production", "GITHUB_REF", "refs/pull/7/merge")
		if err := w.Run(t.Context()); err != nil || strings.Contains(w.out.String(), "destroyed") {
			t.Errorf("%s: got %v and\n%s\nwant nothing planned for production", ends, err, w.out)
		}
	}
}
