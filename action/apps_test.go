package action

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/intent"
)

// intents returns what was published to a repository, newest last.
func (w *world) intents(t *testing.T, repository string) []intent.Statement {
	t.Helper()
	tags, err := w.registry.List(t.Context(), repository)
	if err != nil {
		t.Fatal(err)
	}
	var all []intent.Statement
	for _, tag := range tags {
		data, err := w.registry.Fetch(t.Context(), repository, tag)
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := intent.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, envelope.Claimed())
	}
	return all
}

const twoApps = `apps:
  api:
    paths: [api/**]
    build: {context: api}
    services: {web: {type: web}}
  shop:
    paths: [shop/**, "!**/*.md"]
    build: {context: shop}
    services: {web: {type: web}}
`

func severalApps(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte(twoApps)}
	w.files["api/Dockerfile"] = &fstest.MapFile{Data: []byte("FROM scratch\n")}
	w.files["shop/Dockerfile"] = &fstest.MapFile{Data: []byte("FROM scratch\n")}
	w.programs.installed = append(w.programs.installed, "git")
	w.programs.changed = []string{"api/main.go", "shop/page.html"}
	payload := `{"before":"` + strings.Repeat("ab", 20) + `","repository":{"pushed_at":1795389000}}`
	if err := os.WriteFile(w.env["GITHUB_EVENT_PATH"], []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSeveralAppsOfOneRepository(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		want   []string // deployed
		says   string
	}{
		"all of them when all changed": {func(*world) {}, []string{"api", "shop"}, ""},
		"only what changed":            {func(w *world) { w.programs.changed = []string{"api/main.go", "README.md"} }, []string{"api"}, "shop is left as it is"},
		"nothing when nothing changed": {func(w *world) { w.programs.changed = []string{"shop/README.md"} }, nil, "api is left as it is"},
		"all when inhaul.yaml changed": {func(w *world) { w.programs.changed = []string{"inhaul.yaml"} }, []string{"api", "shop"}, ""},
		"what changed, after fetching the commit before": {func(w *world) {
			w.programs.shallow, w.programs.changed = true, []string{"shop/page.html"}
		}, []string{"shop"}, "api is left as it is"},
		"all where git is of no help": {func(w *world) { w.programs.installed = []string{"docker"} }, []string{"api", "shop"}, "it cannot be told what the push changes"},
		"all of another event": {func(w *world) {
			w.env["GITHUB_EVENT_NAME"], w.programs.changed = "workflow_dispatch", nil
		}, []string{"api", "shop"}, ""},
		"the one that was asked for": {func(w *world) { w.env["INPUT_APP"] = "shop" }, []string{"shop"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := severalApps(t)
			c.change(w)
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			var got []string
			for _, app := range []string{"api", "shop"} {
				for _, statement := range w.intents(t, "example.com/shop/"+app+"-intents") {
					got = append(got, statement.Predicate.App)
					if image := "example.com/shop/" + app + "@sha256:"; !strings.HasPrefix(statement.Image(), image) {
						t.Errorf("got the image %s, want %s…", statement.Image(), image)
					}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("deployed: got +, want -\n%s\n%s", diff, w.out)
			}
			if !strings.Contains(w.out.String(), c.says) {
				t.Errorf("got\n%s\nwant %q in it", w.out, c.says)
			}
		})
	}
}

func TestSeveralAppsHaveOneOutput(t *testing.T) {
	t.Parallel()
	w := severalApps(t)
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	var apps []appOutput
	for line := range strings.Lines(w.read(t, "GITHUB_OUTPUT")) {
		if strings.HasPrefix(line, "[") {
			apps = nil // the last word counts, as for the runner
			if err := json.Unmarshal([]byte(line), &apps); err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasPrefix(line, "image<<") || strings.HasPrefix(line, "release<<") {
			t.Errorf("got the output %s, which can name one app only", line)
		}
	}
	if len(apps) != 2 || apps[0].App != "api" || apps[1].App != "shop" || apps[1].Verdict != "success" || apps[1].Release != 12 {
		t.Errorf("got %+v, want both apps live", apps)
	}
	for _, want := range []string{"api → production", "shop → production"} {
		if summary := w.read(t, "GITHUB_STEP_SUMMARY"); !strings.Contains(summary, want) {
			t.Errorf("got the summary\n%s\nwant %q in it", summary, want)
		}
	}
	if !slices.ContainsFunc(w.asked, func(q string) bool { return strings.Contains(q, " inhaul / shop / production ") }) {
		t.Errorf("asked for %q, want the check that names the app", w.asked)
	}
}

func TestAnAppThatDoesNotBuildKeepsTheOthersUnpublished(t *testing.T) {
	t.Parallel()
	w := severalApps(t)
	delete(w.files, "shop/Dockerfile")
	if err := w.Run(t.Context()); ExitCode(err) != 1 {
		t.Fatalf("got %v, want a mistake of the user's", err)
	}
	if got := w.intents(t, "example.com/shop/api-intents"); len(got) != 0 {
		t.Errorf("got %d intents of the app that builds, want none", len(got))
	}
	for _, want := range []string{"there is no Dockerfile at shop/Dockerfile", "not published, because another app"} {
		if summary := w.read(t, "GITHUB_STEP_SUMMARY"); !strings.Contains(summary, want) {
			t.Errorf("got the summary\n%s\nwant %q in it", summary, want)
		}
	}
}

func TestAnAppThatCannotBePublishedKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	w := severalApps(t)
	w.Publish = picky{w.Publish, "example.com/shop/api-intents"}
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Fatalf("got %v, want why api is not published", err)
	}
	if got := w.intents(t, "example.com/shop/shop-intents"); len(got) != 1 || len(w.asked) == 0 {
		t.Errorf("got %d intents of the other app and %d questions, want its verdict", len(got), len(w.asked))
	}
	if output := w.read(t, "GITHUB_OUTPUT"); !strings.Contains(output, `"verdict":"success"`) {
		t.Errorf("got the outputs\n%s\nwant the verdict of the other app", output)
	}
}

// picky refuses one repository.
type picky struct {
	Publisher
	refused string
}

func (p picky) Publish(ctx context.Context, of Publication) (string, error) {
	if of.Repository == p.refused {
		return "", errors.New("not today")
	}
	return p.Publisher.Publish(ctx, of)
}

func TestAnImageGoesWhereABuildWouldGo(t *testing.T) {
	t.Parallel()
	image := "example.com/mono/shop@sha256:" + strings.Repeat("ab", 32)
	for name, in := range map[string]Inputs{
		"by the repository": {ImageRepository: "example.com/mono"},
		"with an image":     {ImageRepository: "example.com/mono", Image: image},
		"by the image":      {ImageRepository: "example.com/mono/shop", Image: image},
	} {
		if images, intents := repositories(in, "shop", true); images != "example.com/mono/shop" || intents != "example.com/mono/shop-intents" {
			t.Errorf("%s: got %s and %s", name, images, intents)
		}
	}
}

func TestTheCheckMayNameTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	found := w.check
	w.check = func(asked time.Duration) (Check, bool, error) {
		if !strings.Contains(w.asked[len(w.asked)-1], "inhaul / shop / production") {
			return Check{}, false, nil
		}
		return found(asked)
	}
	if err := w.Run(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, w.out)
	}
}

func TestARepositoryWithAProcfileIsDeployedAsItStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	delete(w.files, "inhaul.yaml")
	w.files["Procfile"] = &fstest.MapFile{Data: []byte("release: bin/migrate\nweb: bin/serve --port $PORT\n")}
	w.files["app.json"] = &fstest.MapFile{Data: []byte(`{"name": "shop", "website": "https://example.com"}`)}
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	published := w.intents(t, "example.com/shop-intents")
	if len(published) != 1 {
		t.Fatalf("got %d intents, want 1\n%s", len(published), w.out)
	}
	app := published[0].Predicate.Spec
	if app.Name != "shop" || len(app.Services) != 1 || app.Services[0].Run.Shell != "bin/serve --port $PORT" || app.Predeploy == nil || app.Predeploy.Run.Shell != "bin/migrate" {
		t.Errorf("got %+v, want what the Procfile says", app)
	}
	if got := published[0].Predicate.Config; got != nil {
		t.Errorf("got config %+v, want none: no file of the repository has these lines", got)
	}
	for _, want := range []string{"read app.json and Procfile as", "app.json:1: website:"} {
		if !strings.Contains(w.out.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", w.out, want)
		}
	}
}

func TestBuildpacksAreAskedWhereTheFileSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: shop\nbuild: {method: buildpacks, buildpacks: [heroku/nodejs]}\nservices:\n  web:\n    type: web\n")}
	delete(w.files, "Dockerfile")
	err := w.Run(t.Context())
	if ExitCode(err) != 1 || !strings.Contains(err.Error(), "setup-pack") {
		t.Errorf("without pack: got %v, want how to get it", err)
	}
	w = newWorld(t)
	w.files["inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: shop\nbuild: {method: buildpacks, buildpacks: [heroku/nodejs]}\nservices:\n  web:\n    type: web\n")}
	delete(w.files, "Dockerfile")
	w.programs.installed = []string{"pack"}
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	build := w.programs.argv[len(w.programs.argv)-1]
	want := []string{"--path", ".", "--builder", "heroku/builder:24", "--publish", "--no-color", "--cache-image", after(build, "--cache-image"), "--buildpack", "heroku/nodejs"}
	if diff := cmp.Diff(want, build[3:]); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
	if published := w.intents(t, "example.com/shop-intents"); len(published) != 1 || !published[0].Predicate.Spec.Buildpacks {
		t.Errorf("got %+v, want an app that knows its launcher", published)
	}
}

func TestTheImagesUserIsPartOfTheIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.programs.user = "1000:1000"
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	if got := w.intents(t, "example.com/shop-intents")[0].Predicate.Spec.ImageUser; got != "1000:1000" {
		t.Errorf("got the user %q, want that of the image", got)
	}
}

func TestAppsThatCannotBeToldApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		want   string
	}{
		"twice the same name": {func(w *world) {
			w.files["other/inhaul.yaml"] = &fstest.MapFile{Data: []byte("app: api\nservices: {web: {type: web}}\n")}
			w.env["INPUT_CONFIG"] = "inhaul.yaml\nother/inhaul.yaml"
		}, `both inhaul.yaml and other/inhaul.yaml declare an app "api"`},
		"an app that is not there":          {func(w *world) { w.env["INPUT_APP"] = "shopp" }, `there is no app "shopp": the repository has api, shop`},
		"one image for two apps":            {func(w *world) { w.env["INPUT_IMAGE"] = "example.com/shop@sha256:" + strings.Repeat("ab", 32) }, "choose one with the app input"},
		"a file of several that is missing": {func(w *world) { w.env["INPUT_CONFIG"] = "inhaul.yaml,gone/inhaul.yaml" }, "there is no gone/inhaul.yaml in the repository"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := severalApps(t)
			c.change(w)
			if err := w.Run(t.Context()); ExitCode(err) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
