package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/cli"
	"github.com/inhaul/inhaul/spec"
)

// folder is a fake: one folder in memory.
type folder fstest.MapFS

func (f folder) Read(_ string, read func(fs.FS) error) error { return read(fstest.MapFS(f)) }

func (f folder) Write(string, []byte, bool) error { return errors.New("nothing is written here") }

// objects is a fake: the objects of a cluster by their paths.
type objects map[string]string

func (o objects) App(_ context.Context, name string) ([]byte, error) {
	return o.get("inhaul/apps/" + name)
}

func (o objects) Release(_ context.Context, namespace, name string) ([]byte, error) {
	return o.get(namespace + "/releases/" + name)
}

func (o objects) get(path string) ([]byte, error) {
	switch object, found := o[path]; {
	case !found:
		return nil, fmt.Errorf("%w (404)", cli.ErrNotFound)
	case object == "":
		return nil, fmt.Errorf("%w (403)", cli.ErrForbidden)
	default:
		return []byte(object), nil
	}
}

// run runs plan with a file, in that cluster.
func run(t *testing.T, o objects, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint strings.Builder
	code = cli.Commands{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &complaint,
		Files: folder{"inhaul.yaml": {Data: []byte("app: shop\nservices: {web: {type: web, replicas: 3}}\n")}},
		Connect: func(c cli.Connection) (cli.Cluster, error) {
			want := cli.Connection{Kubeconfig: "config", Context: "eks", Namespace: "inhaul"}
			if diff := cmp.Diff(want, c); diff != "" {
				t.Errorf("another cluster (-want +got):\n%s", diff)
			}
			return cli.Cluster{Releases: o}, nil
		},
	}.Run(t.Context(), append([]string{"plan", "--against", "cluster", "--kubeconfig", "config", "--context", "eks"}, args...))
	return code, out.String(), complaint.String()
}

// The objects of a cluster in which release 12 serves.
const (
	app = `{"kind": "App", "spec": {"environments": [{"name": "staging", "namespace": "shop-staging"}, {"name": "production", "namespace": "shop-live"}]},
		"status": {"lines": [{"environment": "staging", "current": 0, "lastNumber": 1}, {"environment": "production", "current": 12, "lastNumber": 14}]}}`
	release = `{"apiVersion": "inhaul.dev/v1alpha1", "kind": "Release", "spec": {"app": "shop", "environment": "production", "number": 12, "kind": "deploy",
		"definition": {"name": "shop", "services": [{"name": "web", "type": "web", "port": 8080, "replicas": 2, "cpu": "100m", "memory": "256Mi"}]}}}`
)

func TestPlanAgainstWhatServes(t *testing.T) {
	t.Parallel()
	code, out, complaint := run(t, objects{"inhaul/apps/shop": app, "shop-live/releases/shop-12": release}, "-e", "production")
	want := `shop in production, compared with release 12

~ services.web.replicas  2 → 3

0 added, 1 changed, 0 removed; images are not compared without --image
`
	if diff := cmp.Diff(want, out); diff != "" || code != 0 || complaint != "" {
		t.Errorf("got exit code %d, %q and another plan (-want +got):\n%s", code, complaint, diff)
	}
}

func TestPlanAgainstACluster(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		objects     objects
		environment string
		code        int
		want        string // in what was said
	}{
		{"nothing serves yet", objects{"inhaul/apps/shop": strings.ReplaceAll(app, "12", "0")}, "production", 0, "shop in production, where nothing serves yet: all is new\n"},
		{"nothing was ever released", objects{"inhaul/apps/shop": `{"spec": {"environments": [{"name": "production"}]}}`}, "production", 0, "nothing serves yet"},
		{"there is no such app", objects{}, "production", 1, "inhaul: the cluster has no App shop in namespace inhaul\n  why:  not found (404)\n  next: --namespace says where the agent lives"},
		{"the App may not be read", objects{"inhaul/apps/shop": ""}, "production", 1, "inhaul: the cluster does not show App shop in namespace inhaul\n  why:  forbidden (403)\n  next: log in again, or ask for the right to get apps and releases of inhaul.dev\n"},
		{"the App has no such environment", objects{"inhaul/apps/shop": app}, "pr-7", 1, "inhaul: app shop has no environment \"pr-7\" in the cluster\n"},
		{"the release is gone", objects{"inhaul/apps/shop": app}, "production", 1, "inhaul: the cluster has no Release shop-12 in namespace shop-live\n"},
		{"the App is no JSON", objects{"inhaul/apps/shop": "<html>"}, "production", 2, "inhaul: this did not work\n  why:  reading App shop: invalid character '<'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, complaint := run(t, c.objects, "-e", c.environment)
			if code != c.code || !strings.Contains(out+complaint, c.want) {
				t.Errorf("got exit code %d and\n%s%s\nwant %d and %q", code, out, complaint, c.code, c.want)
			}
			if code != 0 && out != "" {
				t.Errorf("got output in spite of the fault: %s", out)
			}
		})
	}
}

// TestPlanAgainstItself reads a release of exactly what the file says.
func TestPlanAgainstItself(t *testing.T) {
	t.Parallel()
	const example = "../examples/storefront/inhaul.yaml"
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	file, err := spec.Parse(example, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, environment := range append(file.EnvironmentNames(), "pr-7") {
		definition, err := file.Resolve(environment)
		if err != nil {
			t.Fatal(err)
		}
		definition.ImageUser = "node" // by the registry, at the time of the release
		object, err := json.Marshal(map[string]any{"apiVersion": "inhaul.dev/v1alpha1", "kind": "Release", "spec": map[string]any{
			"app": file.App, "environment": environment, "number": 1, "kind": "deploy", "image": "shop@sha256:aa", "definition": definition,
		}})
		if err != nil {
			t.Fatal(err)
		}
		var out, complaint strings.Builder
		code := cli.Commands{Stdin: bytes.NewReader(object), Stdout: &out, Stderr: &complaint, Files: cli.Disk{}}.
			Run(t.Context(), []string{"plan", "-e", environment, "--against", "-", "--image", "shop@sha256:aa", "--exit-code", example})
		if code != 0 || !strings.HasSuffix(out.String(), "\n\nno changes\n") || complaint.Len() > 0 {
			t.Errorf("%s: got exit code %d and\n%s%s\nwant no changes", environment, code, out.String(), complaint.String())
		}
	}
}
