package spec

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parsed(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("inhaul.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const shop = "app: shop\nservices: {web: {type: web}}\n"

func TestEnvironmentOfARef(t *testing.T) {
	t.Parallel()
	declared := parsed(t, shop+`environments:
  hotfix: {branch: hotfix/urgent}
  preview: {branch: "*"}
  production: {branch: main}
  staging: {branch: [develop, "release/*", "hotfix/*"]}
  nowhere: {}
`)
	for _, c := range []struct {
		file      *File
		ref, want string
	}{
		{declared, "refs/heads/main", "production"},
		{declared, "refs/heads/develop", "staging"},
		{declared, "refs/heads/release/1.2", "staging"},
		{declared, "refs/heads/hotfix/urgent", "hotfix"},
		{declared, "refs/heads/hotfix/other", "staging"},
		{declared, "refs/heads/feature", "preview"},
		{declared, "refs/heads/feature/one", ""},
		{declared, "refs/heads/release/1/2", ""},
		{declared, "refs/heads/", ""},
		{declared, "refs/tags/main", ""},
		{declared, "main", ""},
		{parsed(t, shop), "refs/heads/main", "production"},
		{parsed(t, shop), "refs/heads/develop", ""},
	} {
		got, ok := c.file.Environment(c.ref)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q, %v, want %q", c.ref, got, ok, c.want)
		}
	}
}

func TestMatchesIsNotExponential(t *testing.T) {
	t.Parallel()
	start := time.Now()
	if matches(strings.Repeat("*a", 2000)+"b", strings.Repeat("a", 4000)) {
		t.Error("got a match, want none")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("got %v, want well below 5 s", took)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	t.Run("says which environments there are", func(t *testing.T) {
		t.Parallel()
		_, err := parsed(t, shop).Resolve("prodution")
		want := `unknown environment "prodution" (did you mean "production"?): the file has production`
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
	t.Run("shares no memory with the file", func(t *testing.T) {
		t.Parallel()
		f := parsed(t, "app: shop\nenv: {A: one}\nservices: {web: {type: web, run: [a, b]}}\n")
		first, err := f.Resolve("production")
		if err != nil {
			t.Fatal(err)
		}
		first.Services[0].Env["A"], first.Services[0].Run.Exec[0] = "changed", "changed"
		second, err := f.Resolve("production")
		if err != nil {
			t.Fatal(err)
		}
		want := Service{
			Name: "web", Type: Web, Run: Command{Exec: []string{"a", "b"}}, Port: DefaultPort, Replicas: DefaultReplicas,
			CPU: DefaultCPU, Memory: DefaultMemory, Env: map[string]string{"A": "one"},
		}
		if diff := cmp.Diff(want, second.Services[0]); diff != "" {
			t.Errorf("got +, want -\n%s", diff)
		}
	})
}
