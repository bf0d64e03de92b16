package render

import (
	"strings"
	"testing"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

func TestNamesOfDatabasesAreNoServices(t *testing.T) {
	t.Parallel()
	main := spec.Database{Name: "main", Type: "postgres", Version: "17.2"}
	if got, want := DatabaseName("shop", main), "shop--main-postgres-17-2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := CredentialsName("shop", main), "shop--main-postgres-17-2.credentials"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	newer, cache, apps := main, spec.Database{Name: "main", Type: "redis"}, map[string]string{}
	newer.Version = ""
	for _, app := range []string{"shop", "shop-api", strings.Repeat("a", 63), strings.Repeat("a", 62) + "b"} {
		for _, d := range []spec.Database{main, newer, cache, {Name: "cache", Type: "redis"}, {Name: strings.Repeat("d", 63), Type: "redis"}} {
			name := DatabaseName(app, d)
			if other, taken := apps[name]; taken || len(name) > maxLabel || strings.HasPrefix(name, "-") {
				t.Errorf("%s of %s: got %q (%d characters), which %s has", d.Name, app, name, len(name), other)
			}
			apps[name] = app
		}
	}
}

func TestURLsOfDatabases(t *testing.T) {
	t.Parallel()
	r := agent.Release{Line: agent.Line{App: "shop", Environment: "pr-7"}, Namespace: "shop-pr-7"}
	for kind, want := range map[string]string{
		"postgres": "postgres://app:s3cret@shop--x-postgres.shop-pr-7.svc:5432/app?sslmode=disable",
		"redis":    "redis://:s3cret@shop--x-redis.shop-pr-7.svc:6379/0",
		"mysql":    "",
	} {
		if got := DatabaseURL(r, spec.Database{Name: "x", Type: kind}, "s3cret"); got != want {
			t.Errorf("%s: got %q, want %q", kind, got, want)
		}
	}
}

func TestDatabasesThatCannotBeRendered(t *testing.T) {
	t.Parallel()
	class := agent.DatabaseClass{Image: "x", CPU: "1", Memory: "1Gi", Storage: "1Gi"}
	few, much, large := class, class, class
	few.CPU, much.Memory, large.Storage = "few", "much", "large"
	main := spec.Database{Name: "main", Type: "postgres"}
	for name, test := range map[string]struct {
		d     spec.Database
		class map[string]agent.DatabaseClass
		want  string
	}{
		"no class":        {main, nil, `none of type "postgres"`},
		"an unknown type": {spec.Database{Name: "main", Type: "mysql"}, map[string]agent.DatabaseClass{"main": class}, `none of type "mysql"`},
		"cpu":             {main, map[string]agent.DatabaseClass{"main": few}, `reading cpu "few"`},
		"memory":          {main, map[string]agent.DatabaseClass{"main": much}, `reading memory "much"`},
	} {
		r := agent.Release{Line: agent.Line{App: "shop"}, App: spec.App{Databases: []spec.Database{test.d}}}
		if _, err := Databases(r, Platform{Databases: test.class}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := DatabaseClaim(agent.Release{}, main, large); err == nil || !strings.Contains(err.Error(), `reading storage "large"`) {
		t.Errorf("storage: got %v", err)
	}
	r := agent.Release{Line: agent.Line{App: "shop"}, App: spec.App{Databases: []spec.Database{main, main}}}
	if _, err := Databases(r, Platform{Databases: map[string]agent.DatabaseClass{"main": class}}); err == nil || !strings.Contains(err.Error(), "rename one") {
		t.Errorf("two of one name: got %v", err)
	}
}

// TestOnlyTheAppReachesItsDatabases looks at what selects the pod of a database: rules
// of policies add up, so that one of the app's that lets in its whole namespace would
// undo the database's own.
func TestOnlyTheAppReachesItsDatabases(t *testing.T) {
	t.Parallel()
	s := tell(t, "preview_with_databases")
	for _, u := range s.objects(t) {
		if u.GetKind() != "NetworkPolicy" || u.GetName() != PolicyName(s.release.Line.App) {
			continue
		}
		policy := defaultPolicy(s.release)
		if len(policy.Spec.PodSelector.MatchExpressions) != 1 || policy.Spec.PodSelector.MatchExpressions[0].Key != LabelDatabase {
			t.Errorf("got %+v: the namespace reaches the databases", policy.Spec.PodSelector)
		}
		s.release.App.Databases = nil
		if policy := defaultPolicy(s.release); len(policy.Spec.PodSelector.MatchExpressions) != 0 {
			t.Errorf("got %+v: the policy of an app without databases has changed", policy.Spec.PodSelector)
		}
		return
	}
	t.Error("the app has no policy")
}

func TestClonesKnowTheirSourceByNameAlone(t *testing.T) {
	t.Parallel()
	r := agent.Release{Line: agent.Line{App: "shop", Environment: "pr-7"}, Namespace: "shop-pr-7"}
	d := spec.Database{Name: strings.Repeat("m", 40), Type: "postgres"}
	name := CloneName("8c0e1b1e-5ad4-4f0b-9d57-0d2c4a3b7f10", r, d)
	if len(name) > maxLabel || name == CloneName("9c0e1b1e-5ad4-4f0b-9d57-0d2c4a3b7f10", r, d) || name == CloneName("8c0e1b1e-5ad4-4f0b-9d57-0d2c4a3b7f10", r, spec.Database{Name: strings.Repeat("m", 41), Type: "postgres"}) {
		t.Errorf("got %q, want a name of its own", name)
	}
	job := Clone(r, d, name, "uid", agent.CloneHook{Namespace: "copies", Image: "x", Command: []string{"copy"}, Source: "production"})
	if job.Namespace != "copies" || job.Labels[LabelApp] != "" || *job.Spec.ActiveDeadlineSeconds != 15*60 {
		t.Errorf("got %+v", job)
	}
	env := job.Spec.Template.Spec.Containers[0].Env
	for i, want := range []string{"production", name} {
		if from := env[i].ValueFrom.SecretKeyRef; env[i].Value != "" || from.Name != want || from.Key != CredentialsURL {
			t.Errorf("%s: got %+v, want Secret %s", env[i].Name, from, want)
		}
	}
}
