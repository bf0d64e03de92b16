package convert

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// stories returns the folders of the apps in testdata; what each becomes is
// beside it.
func stories(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("testdata/*/in")
	if err != nil || len(folders) == 0 {
		t.Fatalf("stories: %d, %v", len(folders), err)
	}
	return folders
}

// cases returns the folders of other people's apps. They are no part of the
// project: INHAUL_CASES names where they are.
func cases(t *testing.T) []string {
	t.Helper()
	root := os.Getenv("INHAUL_CASES")
	if root == "" {
		root = "../../../shared/cases"
	}
	folders, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) == 0 {
		t.Skipf("no cases in %s: INHAUL_CASES says where real manifests are, in folders KIND/APP", root)
	}
	return folders
}

func TestStories(t *testing.T) {
	t.Parallel()
	for _, in := range stories(t) {
		story := filepath.Dir(in)
		t.Run(filepath.Base(story), func(t *testing.T) {
			t.Parallel()
			result, err := Convert(os.DirFS(in))
			if err != nil {
				if errs := (spec.Errors{}); !errors.As(err, &errs) {
					t.Fatalf("got %T, want spec.Errors", err)
				}
				golden(t, filepath.Join(story, "error.txt"), err.Error()+"\n")
				return
			}
			golden(t, filepath.Join(story, "inhaul.yaml"), string(result.YAML))
			golden(t, filepath.Join(story, "unmapped.txt"), text(result.Unmapped))
			resolves(t, result.YAML)
		})
	}
}

func TestRealManifestsDeployWithoutAnEdit(t *testing.T) {
	t.Parallel()
	for _, folder := range cases(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			result, err := Convert(os.DirFS(folder))
			if err != nil {
				t.Fatal(err)
			}
			resolves(t, result.YAML)
		})
	}
}

func text(unmapped []Unmapped) string {
	var b strings.Builder
	for _, u := range unmapped {
		b.WriteString(u.String() + "\n")
	}
	return b.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: got +, want -\n%s", path, diff)
	}
}

// folder is an app's folder with these files, by name.
func folder(files map[string]string) fs.FS {
	all := fstest.MapFS{}
	for name, content := range files {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return all
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, want string }{
		{"", "app: app\n"},
		{"My Shop!", "app: my-shop\n"},
		{"日本", "app: app\n"},
	} {
		result, err := Named(folder(map[string]string{"Procfile": "web: x\n"}), c.name)
		if err != nil || !strings.Contains(string(result.YAML), c.want) {
			t.Errorf("%q: got %s, %v, want %s", c.name, result.YAML, err, c.want)
		}
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	result, err := Convert(folder(map[string]string{
		"porter.yaml": "version: v2\nname: shop\nservices: [{name: web, type: web}]\n",
		"Procfile":    "web: x\n",
		"app.json":    "{}",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"porter.yaml"}, result.From); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
	want := "Procfile:1: the file was not read, because the app is in porter.yaml\n" +
		"app.json:1: the file was not read, because the app is in porter.yaml\n"
	if got := text(result.Unmapped); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"shop", "shop"},
		{"Spree Commerce Demo", "spree-commerce-demo"},
		{"Start on Heroku: Ruby", "start-on-heroku-ruby"},
		{"--a__b--", "a-b"},
		{"2nd", "n2nd"},
		{"日本", ""},
		{strings.Repeat("a", 50), strings.Repeat("a", 40)},
		{strings.Repeat("a", 39) + " b", strings.Repeat("a", 39)},
	} {
		if got := label(c.text); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	c := newConversion(folder(nil), DefaultName)
	text := "{\r\n\t\"a\\ud83d\\ude80\": [1.10, true, null],\n \"ä\": {\"b\" : \"c\\/\", \"d\":\n2}}"
	root := (&manifest{conversion: c, file: "app.json"}).readJSON([]byte(text))
	var got []string
	var walk func(n *node)
	walk = func(n *node) {
		got = append(got, fmt.Sprintf("%d:%d %s %q %s", n.line, n.column, n.path, n.text, n.kind))
		for _, child := range n.children {
			walk(child)
		}
	}
	walk(root)
	want := []string{
		`1:1  "" keys and values`,
		`2:2 a🚀 "" a list`,
		`2:20 a🚀[0] "1.10" a value`,
		`2:26 a🚀[1] "true" a value`,
		`2:32 a🚀[2] "" nothing`,
		`3:2 ä "" keys and values`,
		`3:8 ä.b "c/" a value`,
		`3:21 ä.d "2" a value`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	const secret = ", which everyone with the repository can read: remove it, replace the secret, for it is known now, and refer to the new one in secrets"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"says what it looks for", map[string]string{}, "Procfile:1:1: nothing to convert: want a Procfile, porter.yaml or serverless.yml here, or write an inhaul.yaml"},
		{"leaves an inhaul.yaml alone", map[string]string{"inhaul.yaml": "", "Procfile": "web: x"}, "inhaul.yaml:1:1: it is there already: edit it, or move it away to convert the other files anew"},
		{"runs no program", map[string]string{"serverless.ts": ""}, "serverless.ts:1:1: it is a program, which is not run here: write what `serverless print` says into serverless.yml"},
		{"refuses a file that is too large", map[string]string{"Procfile": strings.Repeat("#", maxFileBytes+1)}, "Procfile:1:1: the file has more than 262144 bytes: no manifest is as large, take out what is not one"},
		{"refuses Latin-1", map[string]string{"Procfile": "web: x\n# caf\xe9\n"}, "Procfile:2:6: want UTF-8 text without control characters: save the file as UTF-8"},
		{"refuses an empty Procfile", map[string]string{"Procfile": "# nothing\n"}, "Procfile:1:1: the file names no process: want a line such as web: COMMAND"},
		{"refuses an app.json that is not Heroku's", map[string]string{"app.json": `{"expo": {"name": "x"}}`}, "app.json:1:1: nothing to convert: it has none of the keys of Heroku's app.json and there is no Procfile; write an inhaul.yaml"},
		{"refuses broken JSON", map[string]string{"Procfile": "web: x", "app.json": "{\n  \"name\": \"x\",\n}"}, "app.json:3:1: the JSON is broken: invalid character '}' looking for beginning of object key string: no comments and no comma before a closing bracket"},
		{"refuses a list as app.json", map[string]string{"Procfile": "web: x", "app.json": "[]"}, "app.json:1:1: want keys and values, got a list"},
		{"refuses broken YAML", map[string]string{"porter.yaml": "version: v2\nservices:\n  - name: [\n"}, "porter.yaml:3:3: the YAML is broken: did not find expected node content"},
		{"refuses an empty file", map[string]string{"porter.yaml": ""}, "porter.yaml:1:1: the file is empty"},
		{"refuses two documents", map[string]string{"porter.yaml": "version: v2\n---\nversion: v2\n"}, "porter.yaml:2:1: want one YAML document, got another one after ---"},
		{"refuses a key twice", map[string]string{"porter.yaml": "version: v2\nname: a\nname: b\n"}, `porter.yaml:3:1: key "name" is here twice, first in line 2`},
		{"refuses an alias of itself", map[string]string{"porter.yaml": "version: v2\nservices: &s [*s]\n"}, "porter.yaml:2:15: the alias stands for itself"},
		{"refuses a bundle of CNAB", map[string]string{"porter.yaml": "schemaType: Bundle\nname: x\nmixins: [exec]\n"}, "porter.yaml:3:1: mixins: this porter.yaml is a bundle of Porter for CNAB (porter.sh), another product than porter.run: it says nothing about an app; write an inhaul.yaml"},
		{"refuses a porter.yaml of version 1", map[string]string{"porter.yaml": "version: v1stack\napps: {web: {}}\n"}, "porter.yaml:1:1: version: want v2 of porter.run, got \"v1stack\"; `porter app yaml` writes it for an app that is there"},
		{"refuses a porter.yaml without version", map[string]string{"porter.yaml": "name: shop\n"}, "porter.yaml:1:1: want version: v2 of porter.run; `porter app yaml` writes it for an app that is there"},
		{"refuses an app without services", map[string]string{"porter.yaml": "version: v2\nname: shop\n"}, "porter.yaml:1:1: the app has no service: want services with at least one name and type"},
		{"refuses an unknown type", map[string]string{"porter.yaml": "version: v2\nservices: [{name: x, type: wbe}]\n"}, `porter.yaml:2:22: type: want web, worker or job, got "wbe"`},
		{"refuses a committed AWS key", map[string]string{"serverless.yml": "service: x\ncustom: {key: AKIAIOSFODNN7EXAMPLE}\nfunctions: {a: {handler: a.b}}\n"}, "serverless.yml:2:10: custom.key: holds what looks like an AWS access key" + secret},
		{"refuses a committed password in app.json", map[string]string{"app.json": "{\"env\": {\n\"DB\": {\"value\": \"postgres://shop:hunter2@db/shop\"}}}"}, "app.json:2:8: env.DB.value: holds what looks like a URL with a password" + secret},
		{"refuses a committed token in a Procfile", map[string]string{"Procfile": "web: x\nworker: T=ghp_0123456789abcdefABCDEF0123456789abcd y\n"}, "Procfile:2:1: worker: holds what looks like a GitHub token" + secret},
		{"says where a value is that inhaul.yaml refuses", map[string]string{"porter.yaml": "version: v2\nservices:\n- name: web\n  type: web\n  port: 99999\n"}, `porter.yaml:5:3: as inhaul.yaml: port: want a whole number from 1 to 65535, got "99999"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Convert(folder(c.files))
			if _, ok := errors.AsType[spec.Errors](err); !ok {
				t.Fatalf("got %v, want spec.Errors", err)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("got +, want -\n%s", diff)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("got the password in the message")
			}
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	t.Run("refuses a small file that stands for a huge one", func(t *testing.T) {
		t.Parallel()
		var b strings.Builder
		b.WriteString("version: v2\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
		for i := range 8 {
			b.WriteString("a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat("*a"+string(rune('0'+i))+", ", 10) + "]\n")
		}
		_, err := Convert(folder(map[string]string{"porter.yaml": b.String()}))
		if err == nil || !strings.Contains(err.Error(), "use fewer YAML aliases") {
			t.Errorf("got %v, want a refusal", err)
		}
	})
	t.Run("names a description that holds a secret and does not repeat it", func(t *testing.T) {
		t.Parallel()
		result, err := Convert(folder(map[string]string{
			"Procfile": "web: x\n",
			"app.json": `{"env": {"DB": {"description": "as postgres://user:hunter2@host/db", "required": true}}}`,
		}))
		if err != nil {
			t.Fatal(err)
		}
		all := string(result.YAML) + text(result.Unmapped)
		if strings.Contains(all, "hunter2") || !strings.Contains(all, "env.DB.description: is not repeated") {
			t.Errorf("got %s", all)
		}
	})
}
