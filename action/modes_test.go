package action

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// appsOutput is the output apps as the next job gets it.
func (w *world) appsOutput(t *testing.T) string {
	t.Helper()
	last := ""
	for line := range strings.Lines(w.read(t, "GITHUB_OUTPUT")) {
		if strings.HasPrefix(line, "[") {
			last = strings.TrimSpace(line) // the last word counts, as for the runner
		}
	}
	return last
}

// job is another job of the same run: it shares the registry alone.
func (w *world) job(t *testing.T, pairs ...string) *world {
	t.Helper()
	next := newWorld(t)
	next.Images, next.Publish, next.Intents, next.registry = w.Images, w.Publish, w.Intents, w.registry
	next.files, next.Files, next.programs.installed = w.files, w.files, nil
	with(next.env, pairs...)
	return next
}

func TestOneJobBuildsAndAnotherSigns(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *world{"one app": newWorld, "several": severalApps} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			builder := start(t)
			with(builder.env, "INPUT_MODE", "build", "ACTIONS_ID_TOKEN_REQUEST_URL", "", "INPUT_TOKEN", "")
			if err := builder.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, builder.out)
			}
			if len(builder.asked) != 0 {
				t.Errorf("the job that builds asked for %q, want nothing", builder.asked)
			}
			var built []appOutput
			if err := json.Unmarshal([]byte(builder.appsOutput(t)), &built); err != nil || len(built) == 0 || built[0].Image == "" || built[0].Intent != "" {
				t.Fatalf("got the apps %+v, %v, want images and no intent", built, err)
			}
			for _, repository := range []string{"example.com/shop-intents", "example.com/shop/shop-intents"} {
				if got := builder.intents(t, repository); len(got) != 0 {
					t.Fatalf("the job that builds published %d intents in %s", len(got), repository)
				}
			}
			signer := builder.job(t, "INPUT_MODE", "sign", "INPUT_IMAGES", builder.appsOutput(t))
			if err := signer.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, signer.out)
			}
			if len(signer.programs.argv) != 0 || len(signer.asked) != len(built) {
				t.Errorf("got the programs %v and %d questions, want none and %d", signer.programs.argv, len(signer.asked), len(built))
			}
			for _, app := range built {
				repository, _, _ := strings.Cut(app.Image, "@")
				if got := signer.intents(t, repository+"-intents"); len(got) != 1 || got[0].Image() != app.Image || got[0].Predicate.App != app.App {
					t.Errorf("%s: got %d intents, want one for %s", app.App, len(got), app.Image)
				}
			}
		})
	}
}

func TestSigning(t *testing.T) {
	t.Parallel()
	image := "example.com/shop@sha256:" + strings.Repeat("ab", 32)
	list := func(app, image string) string { return `[{"app":"` + app + `","image":"` + image + `"}]` }
	for name, c := range map[string]struct {
		env  []string
		want string // of the error; empty: none
	}{
		"needs an image":                        {nil, "mode sign never builds, and no image is given"},
		"needs one of the apps that there are":  {[]string{"INPUT_IMAGES", list("other", image)}, `input images: there is no app "other": the repository has shop`},
		"needs images by digest":                {[]string{"INPUT_IMAGES", list("shop", "example.com/shop:1")}, `got the app "shop" with the image "example.com/shop:1"`},
		"needs JSON":                            {[]string{"INPUT_IMAGES", image}, "which is JSON"},
		"takes images once":                     {[]string{"INPUT_IMAGES", list("shop", image), "INPUT_IMAGE", image}, "leave out this or image"},
		"is what images are for":                {[]string{"INPUT_IMAGES", list("shop", image), "INPUT_MODE", "deploy"}, "this is for mode sign"},
		"needs the right to":                    {[]string{"INPUT_IMAGE", image, "ACTIONS_ID_TOKEN_REQUEST_URL", ""}, "may not ask GitHub for an ID token"},
		"has nothing to do where nothing built": {[]string{"INPUT_IMAGES", "[]"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			with(w.env, "INPUT_MODE", "sign")
			with(w.env, c.env...)
			err := w.Run(t.Context())
			if c.want == "" && err != nil || c.want != "" && (ExitCode(err) != 1 || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got := w.intents(t, "example.com/shop-intents"); len(got) != 0 || len(w.programs.argv) != 0 {
				t.Errorf("got %d intents and the programs %v, want none", len(got), w.programs.argv)
			}
		})
	}
}

func TestAClosedPullRequestBuildsNothingAndIsSignedAway(t *testing.T) {
	t.Parallel()
	builder := newWorld(t)
	builder.pulled("closed")
	builder.env["INPUT_MODE"] = "build"
	if err := builder.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, builder.out)
	}
	if got := builder.appsOutput(t); got != "[]" || len(builder.programs.argv) != 0 {
		t.Errorf("got the apps %s and the programs %v, want none", got, builder.programs.argv)
	}
	signer := builder.job(t, "INPUT_MODE", "sign", "INPUT_IMAGES", "[]")
	signer.pulled("closed")
	if err := signer.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, signer.out)
	}
	if got := signer.intents(t, "example.com/shop-intents"); len(got) != 1 || got[0].Predicate.Kind != intent.Destroy {
		t.Errorf("got %d intents, want a destroy", len(got))
	}
}

func TestADryRunPublishesNothing(t *testing.T) {
	t.Parallel()
	changed := func(w *world) {
		w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: shop\nservices:\n  web:\n    type: web\n    replicas: 3\n    env: {GREETING: hello}\n")}
	}
	for name, c := range map[string]struct {
		change func(*world)
		want   []string // in the output plan
	}{
		"and says what would change": {func(w *world) { changed(w) }, []string{
			"#### shop → production", "deploy of commit 0123456", "the last deploy that was published, of commit 0123456 on 2026-11-22 23:15 UTC",
			"| ~ | `services.web.replicas` | `1` → `3` |", "| + | `services.web.env.GREETING` | `hello` |", "is there already, example.com/shop&#64;sha256:",
		}},
		"and says that nothing would": {func(*world) {}, []string{"The description does not change."}},
		"without anything to compare with": {func(w *world) {
			changed(w)
			w.env["INPUT_IMAGE-REPOSITORY"] = ""
		}, []string{"neither image-repository nor intents-repository is given", "| + | `services.web.replicas` | `3` |", "would be built from Dockerfile |"}},
		"of another place": {func(w *world) { w.pulled("opened") }, []string{"#### shop → pr-7", "no deploy to pr-7 is published"}},
		"of what merging a pull request would mean": {func(w *world) {
			w.pulled("opened", fork())
			w.env["INPUT_ENVIRONMENT"] = "production"
		}, []string{"#### shop → production"}},
		"of a destroy": {func(w *world) { w.pulled("closed") }, []string{"everything of it would be destroyed"}},
		"of a rollback": {func(w *world) {
			with(w.env, "INPUT_ROLLBACK-TO", "previous", "INPUT_APP", "shop", "INPUT_ENVIRONMENT", "production")
		}, []string{"rolled back to previous"}},
		"where the registry is of no help": {func(w *world) {
			w.env["INPUT_IMAGE-REPOSITORY"] = "nowhere.invalid/shop"
		}, []string{"whether it is there already cannot be told"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.programs.user = "1000" // is the image's, and no change of the description
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			w.now, w.asked, w.programs.argv = w.now.Add(time.Hour), nil, nil
			with(w.env, "INPUT_DRY-RUN", "true", "ACTIONS_ID_TOKEN_REQUEST_URL", "", "INPUT_TOKEN", "")
			c.change(w)
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			if got := w.intents(t, "example.com/shop-intents"); len(got) != 1 || len(w.asked) != 0 {
				t.Errorf("got %d intents and %d questions, want the one of before and none", len(got), len(w.asked))
			}
			for _, args := range w.programs.argv {
				if args[0] != "git" {
					t.Errorf("got the program %v, want nothing built", args)
				}
			}
			for _, want := range c.want {
				if plan := w.read(t, "GITHUB_OUTPUT"); !strings.Contains(plan, want) {
					t.Errorf("got the outputs\n%s\nwant %q in them", plan, want)
				}
				if summary := w.read(t, "GITHUB_STEP_SUMMARY"); !strings.Contains(summary, want) || !strings.Contains(summary, "Plan: nothing is published") {
					t.Errorf("got the summary\n%s\nwant %q in it", summary, want)
				}
			}
		})
	}
}

func TestADryRunComparesWithWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pulled("opened")
	for _, action := range []string{"opened", "closed"} {
		w.pulled(action)
		if err := w.Run(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, w.out)
		}
		w.now = w.now.Add(time.Minute)
	}
	w.pulled("reopened")
	w.env["INPUT_DRY-RUN"] = "true"
	if err := w.Run(t.Context()); err != nil || !strings.Contains(w.read(t, "GITHUB_OUTPUT"), "no deploy to pr-7 is published") {
		t.Errorf("got %v and\n%s\nwant nothing to compare with: the preview was destroyed", err, w.out)
	}
	w = rollbackWorld(t, "previous")
	with(w.env, "INPUT_ROLLBACK-TO", "")
	w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: shop\nservices: {web: {type: web}}\n")}
	w.files["Dockerfile"] = &fstest.MapFile{Data: []byte("FROM scratch\n")}
	w.programs.installed = []string{"docker"}
	for _, target := range []string{"", "previous"} {
		w.env["INPUT_ROLLBACK-TO"] = target
		if err := w.Run(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, w.out)
		}
		w.now = w.now.Add(time.Minute)
	}
	with(w.env, "INPUT_ROLLBACK-TO", "", "INPUT_DRY-RUN", "true")
	if err := w.Run(t.Context()); err != nil || !strings.Contains(w.read(t, "GITHUB_OUTPUT"), "; a rollback was published after it") {
		t.Errorf("got %v and\n%s\nwant the rollback told", err, w.out)
	}
}

func TestADryRunFindsWhatWouldFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		want   string
	}{
		"no Dockerfile":       {func(w *world) { delete(w.files, "Dockerfile") }, "there is no Dockerfile at Dockerfile"},
		"a broken file":       {func(w *world) { w.files["inhaul.yaml"].Data = []byte("app: shop\n") }, "services"},
		"no image to sign":    {func(w *world) { w.env["INPUT_MODE"] = "sign" }, "no image is given"},
		"no such environment": {func(w *world) { w.env["INPUT_ENVIRONMENT"] = "prod" }, "unknown environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.env["INPUT_DRY-RUN"] = "true"
			c.change(w)
			if err := w.Run(t.Context()); ExitCode(err) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

const hunter = "hunter2-hunter2"

// TestABuildSecretIsSeenByTheBuildAlone has a build that prints its secrets and
// fails, which is the worst that it can do.
func TestABuildSecretIsSeenByTheBuildAlone(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"docker", "buildah"} {
		for _, fails := range []bool{false, true} {
			w := newWorld(t)
			w.programs.installed = []string{program}
			with(w.env, "INPUT_SECRETS", "npm="+hunter+"\nkey=env:DEPLOY_KEY\n", "DEPLOY_KEY", "-----BEGIN-----\n"+hunter+"-2\n}\n")
			var mounted []string
			w.programs.reads = func(args []string) {
				for i, arg := range args {
					if arg != "--secret" {
						continue
					}
					id, file, _ := strings.Cut(args[i+1], ",src=")
					found, err := os.Stat(file)
					if err != nil || found.Mode() != 0o600 {
						t.Errorf("%s: got %v, %v, want a file for this user alone", id, found, err)
						continue
					}
					data, _ := os.ReadFile(file)
					mounted = append(mounted, file, id+"="+string(data))
				}
			}
			w.programs.prints = "RUN cat /run/secrets/npm\n" + hunter + "\nkey: " + hunter + "-2" // no end of line
			if fails {
				w.programs.fail = "ERROR: " + hunter + "\n"
			}
			err := w.Run(t.Context())
			if (err != nil) != fails {
				t.Fatalf("%v\n%s", err, w.out)
			}
			if len(mounted) != 4 || mounted[1] != "id=npm="+hunter || mounted[3] != "id=key="+w.env["DEPLOY_KEY"] {
				t.Fatalf("the build got %q, want both secrets", mounted)
			}
			for _, file := range []string{mounted[0], mounted[2]} {
				if _, err := os.Stat(file); !os.IsNotExist(err) {
					t.Errorf("%s is still there: %v", file, err)
				}
			}
			for _, args := range w.programs.argv {
				if strings.Contains(strings.Join(args, " "), "hunter2") {
					t.Errorf("got the arguments %q", args)
				}
			}
			var log strings.Builder
			for line := range strings.Lines(w.out.String()) {
				if !strings.HasPrefix(line, "::add-mask::") { // which the runner does not show
					log.WriteString(line)
				}
			}
			told := log.String() + w.read(t, "GITHUB_STEP_SUMMARY") + w.read(t, "GITHUB_OUTPUT")
			if err != nil {
				told += err.Error()
			}
			if strings.Contains(told, "hunter2") || !strings.Contains(told, "RUN cat") || !strings.Contains(told, "key: ***") {
				t.Errorf("got\n%s\nwant it without a secret", told)
			}
			for _, mask := range []string{"::add-mask::" + hunter + "\n", "::add-mask::" + hunter + "-2\n"} {
				if !strings.Contains(w.out.String(), mask) {
					t.Errorf("%q is missing", mask)
				}
			}
			if strings.Contains(w.out.String(), "::add-mask::}") {
				t.Error("a bracket is masked everywhere")
			}
		}
	}
}

func TestBuildSecretsAreChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ input, want string }{
		"a line without id":    {hunter, "want an id=value or id=env:NAME on each line"},
		"an id with a comma":   {"a,src=/etc/passwd=" + hunter, "want an id=value"},
		"the same id twice":    {"npm=" + hunter + "\nnpm=" + hunter, `got the id "npm" twice`},
		"an empty value":       {"npm=", "npm is empty: is the secret set"},
		"a variable not there": {"npm=env:NOPE", `the variable "NOPE" is not set`},
		"too much":             {"npm=" + strings.Repeat("x", maxSecretBytes+1), "npm has 512001 bytes, want at most 512000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.env["INPUT_SECRETS"] = c.input
			err := w.Run(t.Context())
			if ExitCode(err) != 1 || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestOtherSecretsAreAnotherBuild(t *testing.T) {
	t.Parallel()
	one, two := build{secrets: []buildSecret{{id: "npm", value: "a"}}}, build{secrets: []buildSecret{{id: "npm", value: "b"}}}
	if (build{}).key() == one.key() {
		t.Error("a build with a secret has the key of one without")
	}
	if one.key() != two.key() {
		t.Error("the key tells about the value of a secret")
	}
}

func TestMistakesOfAllFilesAreShownWhereTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lines := strings.Repeat("    bad: 1\n", 1)
	w.files["inhaul.yaml"].Data = []byte("app: shop\nservices:\n  web:\n    type: web\n" + lines)
	w.files["services/api/inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: api\nservices:\n" + func() string {
		var b strings.Builder
		for i := range 12 {
			b.WriteString("  s" + string(rune('a'+i)) + ":\n    type: web\n    replica: 2\n")
		}
		return b.String()
	}())}
	w.env["INPUT_CONFIG"] = "inhaul.yaml services/api/inhaul.yaml"
	if err := w.Run(t.Context()); ExitCode(err) != 1 {
		t.Fatalf("got %v, want the user's mistake", err)
	}
	out := w.out.String()
	if n := strings.Count(out, "::error "); n != maxAnnotations {
		t.Errorf("got %d annotations, want %d, which is what GitHub shows", n, maxAnnotations)
	}
	for _, want := range []string{
		"::error col=5,file=inhaul.yaml,line=5,title=inhaul::", "::error col=5,file=services/api/inhaul.yaml,line=5,title=inhaul::",
		"\nservices/api/inhaul.yaml:38:5: ", // in the log alone
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant %q", out, want)
		}
	}
}

func TestMistakesOfAnotherPlatformsFileAreInItsFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.files["services/api/Procfile"] = &fstest.MapFile{Data: []byte("no colon here\n")}
	w.env["INPUT_CONFIG"] = "services/api/inhaul.yaml"
	if err := w.Run(t.Context()); ExitCode(err) != 1 || !strings.Contains(w.out.String(), "file=services/api/Procfile") {
		t.Errorf("got %v and\n%s\nwant the Procfile's path from the root", err, w.out)
	}
}
