package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/spec"
)

// imageUser is that of the images which a deployer pushes.
const imageUser = "1000:1000"

// deployer publishes intents for one app on a lab, signed by a key.
type deployer struct {
	client     dynamic.Interface
	registry   *oci.Registry
	signer     intent.Signer
	program    string // the lab's
	dir        string // of the lab
	app        string
	namespace  string
	repository string // of images, with its host
	image      string // of the binary that it began with
	intents    string
	proxy      string
	id         int64 // of the repository
}

// newDeployer allows an app of that name, and pushes the binary as its image.
func newDeployer(t *testing.T, app string, id int64, binary string) *deployer {
	t.Helper()
	program, dir := needLab(t)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	d := &deployer{
		client: client, program: program, dir: dir, app: app, namespace: app + "-production",
		repository: os.Getenv("LAB_REGISTRY") + "/acme/" + app, id: id, proxy: strings.TrimPrefix(os.Getenv("LAB_PROXY"), "http://"),
	}
	d.intents = d.repository + "-intents"
	keys := t.TempDir()
	if err := writeKeys(keys); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(keys, "trusted.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if d.signer, err = intent.NewKeySigner(key); err != nil {
		t.Fatal(err)
	}
	d.image = d.push(t, "first", imageUser, binary)
	outputOf(t, exec.Command(program, "allow", d.app, "--dir", dir, "--repository", "acme/"+d.app,
		"--repository-id", strconv.FormatInt(d.id, 10), "--public-key", filepath.Join(keys, "trusted.pub")))
	d.registry = oci.New(oci.WithUserAgent("inhaul-e2e"), oci.WithTransport(trusting(t, os.Getenv("LAB_CA_BUNDLE"))))
	return d
}

// buildBinary builds a static program for the architecture, or for this machine's
// if it is empty.
func buildBinary(t *testing.T, source, architecture string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(source))
	build := exec.Command("go", "build", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if architecture != "" {
		build.Env = append(build.Env, "GOARCH="+architecture)
	}
	outputOf(t, build)
	return binary
}

func outputOf(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	var complaint strings.Builder
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", c, err, out, complaint.String())
	}
	return strings.TrimSpace(string(out))
}

// push pushes a binary as an image of the app and returns it by digest.
func (d *deployer) push(t *testing.T, tag, user, binary string) string {
	t.Helper()
	return outputOf(t, exec.Command(d.program, "push", "--dir", d.dir, "--user", user, d.repository+":"+tag, binary))
}

// commit is the commit of a release.
func commit(number int) string { return fmt.Sprintf("%08x", number) + strings.Repeat("0", 32) }

// publish publishes the intent of a release of image to production.
func (d *deployer) publish(t *testing.T, number int, image string, app spec.App) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	app.Name = d.app
	statement := intent.New(image, intent.Predicate{
		Kind: intent.Deploy, App: d.app, Environment: "production",
		Source: intent.Source{
			Repository: "acme/" + d.app, RepositoryID: d.id, RepositoryOwnerID: 1, Ref: "refs/heads/main", Commit: commit(number),
			Event: "push", EventAt: now, WorkflowRef: "acme/" + d.app + "/.github/workflows/deploy.yml@refs/heads/main",
			RunID: int64(number), RunNumber: int64(number), RunAttempt: 1, Actor: "octocat",
		},
		Spec: &app, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	envelope, digest, err := intent.Sign(t.Context(), statement, d.signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.registry.Publish(t.Context(), d.intents, oci.Tag("production", now, digest), envelope); err != nil {
		t.Fatal(err)
	}
}

// succeed returns when a release has succeeded.
func (d *deployer) succeed(t *testing.T, number int) {
	t.Helper()
	status := d.await(t, number, releaseTimeout)
	if status.Phase != string(agent.Succeeded) {
		t.Fatalf("release %d: got %s, want Succeeded: %s", number, status.Phase, status.Message)
	}
}

// await returns how a release has ended.
func (d *deployer) await(t *testing.T, number int, timeout time.Duration) v1alpha1.ReleaseStatus {
	t.Helper()
	var status v1alpha1.ReleaseStatus
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		r, found := d.release(t, number)
		if status = r.Status; found && agent.Phase(status.Phase).Terminal() {
			return status
		}
	}
	t.Fatalf("release %d is %q after %s", number, status.Phase, timeout)
	return status
}

// release reads a release; found is false if it is not admitted yet.
func (d *deployer) release(t *testing.T, number int) (r v1alpha1.Release, found bool) {
	t.Helper()
	o, err := d.client.Resource(v1alpha1.GroupVersion().WithResource("releases")).Namespace(d.namespace).
		Get(t.Context(), fmt.Sprintf("%s-%d", d.app, number), metav1.GetOptions{})
	if err != nil {
		return r, false
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &r); err != nil {
		t.Fatal(err)
	}
	return r, true
}

// serviceAddress is where the Service of web is, inside the cluster.
func (d *deployer) serviceAddress(t *testing.T) string {
	t.Helper()
	services := schema.GroupVersionResource{Version: "v1", Resource: "services"}
	o, err := d.client.Resource(services).Namespace(d.namespace).Get(t.Context(), d.app+"-web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ip, _ := o.Object["spec"].(map[string]any)["clusterIP"].(string)
	if ip == "" {
		t.Fatal("the Service has no address")
	}
	return ip + ":80"
}
