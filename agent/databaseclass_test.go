package agent

import (
	"strings"
	"testing"

	"github.com/inhaul/inhaul/spec"
)

func TestClassesOfDatabases(t *testing.T) {
	t.Parallel()
	choice := &DatabaseClass{Image: "mirror/postgres:{version}", CPU: "1", Memory: "1Gi", Storage: "1Gi"}
	usual := &DatabaseClass{Image: "mirror/postgres:{version}", Version: "17"}
	fixed := &DatabaseClass{Image: "mirror/postgres:bookworm"}
	told := &DatabaseClass{Image: "mirror/postgres:bookworm", Version: "17"}
	for name, test := range map[string]struct {
		class          *DatabaseClass
		version        string
		image, problem string
	}{
		"the app's version":                    {choice, "16", "mirror/postgres:16", ""},
		"the app's before the platform's":      {usual, "16.2", "mirror/postgres:16.2", ""},
		"the platform's version":               {usual, "", "mirror/postgres:17", ""},
		"an image that has no choice":          {fixed, "", "mirror/postgres:bookworm", ""},
		"the version that the image has":       {told, "17", "mirror/postgres:bookworm", ""},
		"another than the image has":           {told, "16", "", "take version out of inhaul.yaml"},
		"a version of an image without choice": {fixed, "17", "", "puts {version} into spec.previews.databases.postgres.image"},
		"nobody's version":                     {choice, "", "", "spec.previews.databases.postgres.version"},
		"no such class":                        {nil, "17", "", "spec.previews.databases.postgres in the App"},
	} {
		got, err := PreviewPolicy{Postgres: test.class, Redis: &DatabaseClass{Image: "redis"}}.Class(spec.Database{Name: "main", Type: "postgres", Version: test.version})
		switch {
		case test.image != "" && (err != nil || got.Image != test.image):
			t.Errorf("%s: got %q, %v; want %q", name, got.Image, err, test.image)
		case test.image == "" && err == nil:
			t.Errorf("%s: got %q, want an error", name, got.Image)
		case test.image == "" && !strings.Contains(err.Error(), test.problem):
			t.Errorf("%s: got %v, want %q in it", name, err, test.problem)
		}
	}
	if choice.Image != "mirror/postgres:{version}" {
		t.Error("the platform owner's word was written to")
	}
}

func TestDatabasesThatAnEnvironmentCannotHaveAreDenied(t *testing.T) {
	t.Parallel()
	wants := func(d ...spec.Database) *spec.App { return &spec.App{Name: "shop", Databases: d} }
	cache, main := spec.Database{Name: "cache", Type: "redis"}, spec.Database{Name: "main", Type: "postgres", Version: "17"}
	preview, production := Environment{Name: "pr-7", PullRequest: 7}, Environment{Name: "production"}
	p := Policy{app: App{Name: "shop", PreviewPolicy: &PreviewPolicy{Postgres: &DatabaseClass{Image: "postgres:{version}"}}}}
	for name, test := range map[string]struct {
		app         *spec.App
		environment Environment
		want        string
	}{
		"no app":                   {nil, production, ""},
		"no databases":             {wants(), production, ""},
		"what the platform has":    {wants(main), preview, ""},
		"what it has not":          {wants(cache, main), preview, `database "cache" is "redis", want one of: postgres with a version`},
		"elsewhere than a preview": {wants(main), production, `database "main" is "postgres 17", want none: environments other than previews`},
	} {
		denied := p.judgeDatabases(test.app, test.environment)
		if denied == nil != (test.want == "") || denied != nil && (!strings.Contains(denied.Error(), test.want) || denied.Next == "") {
			t.Errorf("%s: got %+v, want %q", name, denied, test.want)
		}
	}
	if denied := p.judgeDatabases(wants(cache), preview); !strings.Contains(denied.Next, "the platform owner says spec.previews.databases.redis") {
		t.Errorf("got %q: want to be told what to do", denied.Next)
	}
	if denied := p.judgeRelease(Release{App: *wants(cache)}, preview); denied == nil {
		t.Error("a rollback may bring back what nothing can be made of")
	}
}
