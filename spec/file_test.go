package spec

import (
	"strings"
	"testing"
	"time"
)

func parsed(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("inhaul.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const onlyWeb = "app: shop\nservices: {web: {type: web}}\n"

func TestEnvironmentOfARef(t *testing.T) {
	t.Parallel()
	declared := parsed(t, onlyWeb+`environments:
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
		{parsed(t, onlyWeb), "refs/heads/main", "production"},
		{parsed(t, onlyWeb), "refs/heads/develop", ""},
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
