package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
)

func TestAPushIsDeployed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	tags, err := w.registry.List(t.Context(), "example.com/shop-intents")
	if err != nil || len(tags) != 1 {
		t.Fatalf("got %v, %v, want one intent", tags, err)
	}
	data, err := w.registry.Fetch(t.Context(), "example.com/shop-intents", tags[0])
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := intent.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	got := envelope.Claimed()
	want := intent.Source{
		Repository: "acme/shop", RepositoryID: 42, RepositoryOwnerID: 7, Ref: "refs/heads/main", Commit: commit, Event: "push",
		EventAt: time.Unix(1795389000, 0).UTC(), WorkflowRef: "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
		RunID: 777, RunNumber: 5, RunAttempt: 1, Actor: "ada",
	}
	if diff := cmp.Diff(want, got.Predicate.Source); diff != "" {
		t.Errorf("source: got +, want -\n%s", diff)
	}
	if c := got.Predicate.Config; c == nil || c.Path != "inhaul.yaml" || c.Lines["services.web"] == 0 {
		t.Errorf("got config %+v, want the lines of inhaul.yaml", c)
	}
	environment, issuedAt, prefix, ok := oci.ParseTag(tags[0])
	if !ok || environment != "production" || !issuedAt.Equal(got.Predicate.IssuedAt) || !strings.HasPrefix(envelope.Digest(), "sha256:"+prefix) {
		t.Errorf("got the tag %s for the intent %s", tags[0], envelope.Digest())
	}
	if want := "acme/shop " + commit + " inhaul / production " + envelope.Digest(); len(w.asked) != 1 || w.asked[0] != want {
		t.Errorf("asked for %q, want %q", w.asked, want)
	}
	for _, want := range []string{"12\n", "https://shop.example.org\n", "production\n", got.Image() + "\n", envelope.Digest() + "\n"} {
		if output := w.read(t, "GITHUB_OUTPUT"); !strings.Contains(output, want) {
			t.Errorf("got outputs\n%s, want %q in them", output, want)
		}
	}
	summary := w.read(t, "GITHUB_STEP_SUMMARY")
	for _, want := range []string{"✅ Deployed: shop → production", "#12", "Release 12 is live", got.Image(), "| **Time** | build and push 0s, sign 0s, publish 0s, wait 0s |", "All well."} {
		if !strings.Contains(summary, want) {
			t.Errorf("got the summary\n%s, want %q in it", summary, want)
		}
	}
	t.Run("and again without a build", func(t *testing.T) {
		w.programs.argv = nil
		w.env["GITHUB_RUN_ATTEMPT"] = "2"
		w.now = w.now.Add(time.Hour)
		if err := w.Run(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, w.out)
		}
		if len(w.programs.argv) != 1 || w.programs.argv[0][0] != "git" {
			t.Errorf("got %v, want git alone, which says what is checked out", w.programs.argv)
		}
		if want := "image for commit 0123456 is there already: no build"; !strings.Contains(w.out.String(), want) {
			t.Errorf("got\n%s, want %q", w.out, want)
		}
		if tags, err := w.registry.List(t.Context(), "example.com/shop-intents"); err != nil || len(tags) != 2 {
			t.Errorf("got %v, %v, want two intents", tags, err)
		}
	})
}

func TestAPushedImageIsDeployedAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.programs.installed = nil
	if err := (&programs{transport: w.programs.transport}).push("example.com/shop:x", w.Temp+"/digest", "%s"); err != nil {
		t.Fatal(err)
	}
	digest, err := os.ReadFile(w.Temp + "/digest")
	if err != nil {
		t.Fatal(err)
	}
	with(w.env, "INPUT_IMAGE-REPOSITORY", "", "INPUT_IMAGE", "example.com/shop:x@"+string(digest), "INPUT_SIGNER", "key",
		"INPUT_SIGNING-KEY", signingKey(t), "INPUT_WAIT", "false", "ACTIONS_ID_TOKEN_REQUEST_URL", "")
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	if output := w.read(t, "GITHUB_OUTPUT"); !strings.Contains(output, "example.com/shop@"+string(digest)) {
		t.Errorf("got outputs\n%s", output)
	}
	if len(w.programs.argv) != 0 || len(w.asked) != 0 {
		t.Errorf("got %v and %v, want no program and no waiting", w.programs.argv, w.asked)
	}
	key := strings.Split(signingKey(t), "\n")[1]
	if !strings.Contains(w.out.String(), "::add-mask::"+key) {
		t.Errorf("the signing key is not masked:\n%s", w.out)
	}
}

func TestAnImageThatAnotherJobPushedMeanwhileWillDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Exec = raced{w.programs}
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	if want := "was pushed by another job meanwhile"; !strings.Contains(w.out.String(), want) {
		t.Errorf("got\n%s, want %q", w.out, want)
	}
}

// raced pushes, and fails as a registry with immutable tags makes it.
type raced struct{ *programs }

func (r raced) Run(ctx context.Context, c Command) error {
	if err := r.programs.Run(ctx, c); err != nil || !slices.Contains(c.Args, "--tag") {
		return err
	}
	return errors.New("docker: exit status 1")
}

func TestWhatDeploysNothingIsNoFailure(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"a branch without environment": func(w *world) { w.env["GITHUB_REF"] = "refs/heads/feature" },
		"a tag":                        func(w *world) { w.env["GITHUB_REF"] = "refs/tags/v1" },
		"a deleted branch": func(w *world) {
			if err := os.WriteFile(w.env["GITHUB_EVENT_PATH"], []byte(`{"deleted":true}`), 0o600); err != nil {
				panic(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			change(w)
			if err := w.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(w.out.String(), "::notice::") || !strings.Contains(w.read(t, "GITHUB_OUTPUT"), "\n[]\n") || len(w.programs.argv) != 0 {
				t.Errorf("got\n%s\nwant a notice, and no app in the outputs\n%s", w.out, w.read(t, "GITHUB_OUTPUT"))
			}
		})
	}
}

// check returns a verdict that is there from the first question on.
func check(conclusion, title string) func(time.Duration) (Check, bool, error) {
	return func(time.Duration) (Check, bool, error) {
		return Check{Status: "completed", Conclusion: conclusion, Title: title, Summary: "web: exit code 3", URL: "https://github.com/acme/shop/runs/1"}, true, nil
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(w *world)
		code   int
		want   []string // in the log
	}{
		{"a broken inhaul.yaml", func(w *world) {
			w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: shop\nservices:\n  web:\n    type: web\n    replica: 2\n")}
		}, 1, []string{
			`::error col=5,file=inhaul.yaml,line=5,title=inhaul::unknown key "replica" (did you mean "replicas"?)`,
			`inhaul.yaml:5:5: unknown key "replica" (did you mean "replicas"?)`,
		}},
		{"no inhaul.yaml", func(w *world) { delete(w.files, "inhaul.yaml") }, 1, []string{"there is no inhaul.yaml in the repository", "actions/checkout"}},
		{"a huge inhaul.yaml", func(w *world) { w.files["inhaul.yaml"] = &fstest.MapFile{Data: make([]byte, 257<<10)} }, 1, []string{"got more than 262144 bytes"}},
		{"no Dockerfile", func(w *world) { delete(w.files, "Dockerfile") }, 1, []string{"there is no Dockerfile at Dockerfile", "build.dockerfile"}},
		{"a context outside", func(w *world) {
			w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: shop\nbuild: {context: ../x}\nservices: {web: {type: web}}\n")}
		}, 1, []string{"the build's context ../x is outside of the repository"}},
		{"no builder", func(w *world) { w.programs.installed = nil }, 1, []string{"no image builder is installed", "docker/setup-buildx-action"}},
		{"a failing build", func(w *world) {
			w.programs.fail = "#5 ERROR\n------\nDockerfile:3\n--------------------\n   3 | >>> RUN false\nERROR: failed to solve: exit code: 1\n"
		}, 1, []string{"::error file=Dockerfile,line=3,title=inhaul::building the image: docker: exit status 1%0A", "3 | >>> RUN false", "::endgroup::"}},
		{"a build that may not push", func(w *world) { w.programs.fail = "ERROR: failed to push: 401 Unauthorized\n" }, 1, []string{"docker login example.com", "amazon-ecr-login"}},
		{"no right to ask for ID tokens", func(w *world) { w.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "" }, 1, []string{"may not ask GitHub for an ID token", "id-token: write"}},
		{"an ID token that is refused", func(w *world) {
			w.IDToken = func(context.Context, string) (string, error) { return "", errors.New("got status 500") }
		}, 2, []string{"signing the intent: got status 500"}},
		{"a signing key that is none", func(w *world) { with(w.env, "INPUT_SIGNER", "key", "INPUT_SIGNING-KEY", "hunter2") }, 1, []string{"no PEM block found", "from a secret"}},
		{"another event", func(w *world) { w.env["GITHUB_EVENT_NAME"] = "issues" }, 1, []string{`the event "issues" cannot be deployed`, "one of push, pull_request, workflow_dispatch"}},
		{"an unknown environment", func(w *world) { w.env["INPUT_ENVIRONMENT"] = "prod" }, 1, []string{`unknown environment "prod": the file has production`}},
		{"no workflow", func(w *world) { with(w.env, "GITHUB_RUN_ID", "", "GITHUB_SHA", "") }, 1, []string{"lacks GITHUB_SHA, GITHUB_RUN_ID"}},
		{"a failed rollout", func(w *world) { w.check = check("failure", "Release 3 failed: web crashed") }, 1, []string{"the deploy to production failed: Release 3 failed: web crashed%0Aweb: exit code 3", "runs/1"}},
		{"a denied deploy", func(w *world) { w.check = check("action_required", "Denied: policy") }, 1, []string{"was denied: Denied: policy", "App resource"}},
		{"no agent", func(w *world) { w.check = func(time.Duration) (Check, bool, error) { return Check{}, false, nil } }, 1, []string{
			`no agent has answered within 15m0s: neither a receipt has come nor a check run "inhaul / production" on 0123456`, "kubectl -n inhaul logs deploy/inhaul-agent", "with the name that inhaul.yaml gives, shop", "`intents` repository example.com/shop-intents",
		}},
		{"a rollout that takes too long", func(w *world) {
			w.check = func(time.Duration) (Check, bool, error) {
				return Check{Status: "in_progress", Title: "1 of 2 pods ready"}, true, nil
			}
		}, 1, []string{"in_progress: 1 of 2 pods ready", "the rollout was still going after 15m0s (1 of 2 pods ready)"}},
		{"GitHub away", func(w *world) {
			w.check = func(time.Duration) (Check, bool, error) { return Check{}, false, errors.New("connection refused") }
		}, 2, []string{"asking GitHub for the verdict for 15m0s, while the deploy goes on: connection refused"}},
		{"no right to read checks", func(w *world) {
			w.check = func(time.Duration) (Check, bool, error) { return Check{}, false, fmt.Errorf("%w: 403", ErrNoAccess) }
		}, 1, []string{"::notice::", "no agent has answered within 1m0s", "may not read check runs: 403", "checks: read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.change(w)
			err := w.Run(t.Context())
			if got := ExitCode(err); got != c.code || err == nil {
				t.Errorf("got exit code %d for %v, want %d", got, err, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(w.out.String(), want) {
					t.Errorf("got\n%s\nwant %q in it", w.out, want)
				}
			}
		})
	}
}

func TestASupersededDeployIsAWarning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.check = check("neutral", "Superseded by abc1234")
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "::warning::not deployed: Superseded by abc1234"; !strings.Contains(w.out.String(), want) {
		t.Errorf("got\n%s\nwant %q", w.out, want)
	}
	if summary := w.read(t, "GITHUB_STEP_SUMMARY"); !strings.Contains(summary, "⏭️ Not deployed") {
		t.Errorf("got the summary\n%s", summary)
	}
}

func TestWaitingSlowsDownAndSurvivesTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var asked []time.Duration
	w.check = func(after time.Duration) (Check, bool, error) {
		asked = append(asked, after)
		switch {
		case after < 3*time.Second:
			return Check{}, false, nil
		case after < 20*time.Second:
			return Check{}, false, errors.New("502")
		case after < 60*time.Second:
			return Check{Status: "in_progress", Title: "rolling out"}, true, nil
		}
		return check("success", "live")(after)
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked[1]-asked[0] != firstPoll || asked[len(asked)-1]-asked[len(asked)-2] != slowestPoll {
		t.Errorf("asked after %v, want 1 s apart at first and 5 s at last", asked)
	}
	if n := strings.Count(w.out.String(), "rolling out"); n != 1 {
		t.Errorf("got %d lines about rolling out, want 1:\n%s", n, w.out)
	}
}

func TestACancelledJobStopsWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.check = func(time.Duration) (Check, bool, error) { cancel(); return Check{}, false, nil }
	if err := w.Run(ctx); !errors.Is(err, context.Canceled) || len(w.asked) != 1 {
		t.Errorf("got %v after %d questions, want a cancelled context at once", err, len(w.asked))
	}
}

func TestForeignTextIsNoCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.check = func(time.Duration) (Check, bool, error) {
		return Check{Status: "completed", Conclusion: "success", Title: "x\n::add-mask::production\n##[error]y"}, true, nil
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(w.out.String()) {
		if strings.HasPrefix(line, "::add-mask::production") || strings.Contains(line, "##[") {
			t.Errorf("got the command %q", line)
		}
	}
}
