// Package e2e tells stories over the real binaries: each script under testdata
// is one promise. They run against a lab (lab/README.md) whose directory is in
// LAB_DIR, with its program in LAB_BIN; `make test` brings one up.
package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestStories(t *testing.T) { testscript.Run(t, stories(t, "testdata")) }

// storyApps numbers the apps of all stories.
var storyApps atomic.Int64

// stories are the scripts in a folder, and what they can do.
func stories(t *testing.T, folder string) testscript.Params {
	t.Helper()
	lab, dir := needLab(t)
	commands := buildCommands(t)
	return testscript.Params{
		Dir: folder,
		Setup: func(env *testscript.Env) error {
			// Every story has an app and a repository of its own.
			n := storyApps.Add(1)
			id := fmt.Sprint(5000 + 100*int64(os.Getpid()%100000) + n)
			env.Setenv("APP", "shop-"+id)
			env.Setenv("REPOSITORY", "acme/shop-"+id)
			env.Setenv("REPOSITORY_ID", id)
			env.Setenv("NAMESPACE", "shop-"+id+"-production")
			env.Setenv("LAB_DIR", dir)
			env.Setenv("LAB", lab)
			env.Setenv("PATH", filepath.Dir(lab)+":"+commands+":"+env.Getenv("PATH"))
			for _, name := range []string{
				"KUBECONFIG", "LAB_KUBECTL", "LAB_REGISTRY", "LAB_MIRROR", "LAB_GITHUB_URL", "LAB_CA_BUNDLE", "DOCKER_CONFIG", "HOME", "XDG_CACHE_HOME",
				"INHAUL_LAB_SOURCE", "LAB_BUILDER", "GOFLAGS", "GOPROXY",
			} {
				env.Setenv(name, os.Getenv(name))
			}
			env.Setenv("SSL_CERT_FILE", os.Getenv("LAB_CA_BUNDLE"))
			return writeKeys(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"agentlog":  agentlog,
			"app":       app,
			"github":    github,
			"intents":   intents,
			"kubectl":   kubectl,
			"leader":    leader,
			"output":    output,
			"pinned":    pinned,
			"podenv":    podenv,
			"podsecret": podsecret,
			"publish":   publish,
			"published": published,
			"receipt":   receipt,
			"refused":   refused,
			"registry":  registry,
			"underway":  underway,
		},
		Condition: condition,
	}
}

// buildCommands returns a folder with the program inhaul.
func buildCommands(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "../cmd/inhaul")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building inhaul: %v\n%s", err, out)
	}
	return dir
}

// needLab skips loudly without a lab; where nothing may be skipped it fails.
func needLab(t *testing.T) (program, dir string) {
	t.Helper()
	program, dir = os.Getenv("LAB_BIN"), os.Getenv("LAB_DIR")
	if program != "" && dir != "" {
		return program, dir
	}
	if os.Getenv("INHAUL_NO_SKIP") != "" {
		t.Fatal("LAB_BIN and LAB_DIR are not set, and nothing may be skipped here")
	}
	t.Skip("no lab: LAB_BIN and LAB_DIR are not set; `make test` brings one up")
	return "", ""
}

// app writes a small inhaul.yaml for $APP into the working directory, with a
// Dockerfile: app [changes to the file as OLD=>NEW ...].
func app(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("app cannot fail")
	}
	file := strings.ReplaceAll(`app: APP
env:
  GREETING: hello
services:
  web:
    type: web
    run: [httpd, -f, -p, "8080"]
    port: 8080
    replicas: 2
    cpu: 10m
    memory: 16Mi
environments:
  production:
    branch: main
  staging:
    branch: develop
`, "APP", ts.Getenv("APP"))
	for _, arg := range args {
		old, replacement, _ := strings.Cut(arg, "=>")
		if !strings.Contains(file, old) {
			ts.Fatalf("%q is not in the file", old)
		}
		file = strings.Replace(file, old, replacement, 1)
	}
	for name, content := range map[string]string{"inhaul.yaml": file, "Dockerfile": "FROM busybox:1.36\nCOPY inhaul.yaml /\nUSER 1000\n"} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(content), 0o644))
	}
}

// kubectl runs kubectl with the lab's kubeconfig.
func kubectl(ts *testscript.TestScript, neg bool, args []string) {
	program := ts.Getenv("LAB_KUBECTL")
	if program == "" {
		program = "kubectl"
	}
	if err := ts.Exec(program, args...); (err != nil) != neg {
		ts.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
}

// podenv prints the variables that new pods of a service get, as an object:
// podenv SERVICE
func podenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: podenv SERVICE")
	}
	name := field(ts, "deployment/"+ts.Getenv("APP")+"-"+args[0], "{.spec.template.spec.containers[0].envFrom[*].configMapRef.name}")
	field(ts, "configmap/"+name, "{.data}")
}

// podsecret prints the secret variable that new pods of a service get:
// podsecret SERVICE NAME
func podsecret(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: podsecret SERVICE NAME")
	}
	name := field(ts, "deployment/"+ts.Getenv("APP")+"-"+args[0], "{.spec.template.spec.containers[0].envFrom[*].secretRef.name}")
	value, err := base64.StdEncoding.DecodeString(field(ts, "secret/"+name, "{.data."+args[1]+"}"))
	ts.Check(err)
	_, err = fmt.Fprintln(ts.Stdout(), string(value))
	ts.Check(err)
}

// field is what of an object of $NAMESPACE is at path.
func field(ts *testscript.TestScript, what, path string) string {
	kubectl(ts, false, []string{"-n", ts.Getenv("NAMESPACE"), "get", what, "-o", "jsonpath=" + path})
	return ts.ReadFile("stdout")
}

// refused waits until the App's refusal of that index is by that rule: kubectl
// wait ends at once where an index does not exist yet.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: refused INDEX RULE")
	}
	got := ""
	for range 200 {
		kubectl(ts, false, []string{"-n", "inhaul", "get", "app", ts.Getenv("APP"), "-o", `jsonpath={range .status.refusals[*]}{.rule}{"\n"}{end}`})
		got = ts.ReadFile("stdout")
		index, err := strconv.Atoi(args[0])
		ts.Check(err)
		if rules := strings.Split(got, "\n"); index < len(rules) && rules[index] == args[1] {
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
	ts.Fatalf("refusal %s is not by %q; the rules are:\n%s", args[0], args[1], got)
}

// output sets environment variables from the file of `lab run --outputs`, each
// name with a prefix, and the commit as people name it: output v1_ v1.txt sets
// $v1_commit, $v1_short, …
func output(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: output PREFIX FILE")
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		ts.Setenv(args[0]+name, value)
		if name == "commit" {
			ts.Setenv(args[0]+"short", value[:7])
		}
	}
}
