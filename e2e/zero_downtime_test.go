package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/spec"
)

const (
	zeroDowntimeReleases = 20
	zeroDowntimeRate     = 100 // requests a second
	releaseTimeout       = 90 * time.Second
	workSeconds          = 45 // more than Kubernetes gives by default, less than the worker's grace
)

// TestZeroDowntime deploys an app that knows nothing of probes again and again,
// on real containers and under constant load: no request fails. Meanwhile a
// worker that is replaced finishes what it does.
func TestZeroDowntime(t *testing.T) {
	if os.Getenv("INHAUL_ZERO_DOWNTIME") == "" {
		t.Skip("INHAUL_ZERO_DOWNTIME is not set; `make zero-downtime` does that, on a lab with real containers")
	}
	d := newDeployer(t)
	d.release(t, 1)
	address := d.serviceAddress(t)
	l := &load{address: address, proxy: d.proxy, rate: zeroDowntimeRate}
	loading, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.run(loading) }()
	ends := d.watchWorker(t)
	began := time.Now()
	for number := 2; number <= zeroDowntimeReleases+1; number++ {
		d.release(t, number)
	}
	took := time.Since(began)
	time.Sleep(time.Second)
	stop()
	<-ended
	t.Logf("%d releases in %s; %d requests (%.0f a second), %d failed; answered within %s (p50), %s (p99)",
		zeroDowntimeReleases, took.Round(time.Second), l.sent, float64(l.sent)/took.Seconds(), len(l.failures),
		l.quantile(0.5).Round(100*time.Microsecond), l.quantile(0.99).Round(100*time.Microsecond))
	for _, failure := range l.failures[:min(len(l.failures), 20)] {
		t.Errorf("a request failed at %s", failure)
	}
	if want := took.Seconds() * zeroDowntimeRate / 2; float64(l.sent) < want {
		t.Errorf("got %d requests, want at least %.0f: the load was not constant", l.sent, want)
	}
	if len(l.answers) != zeroDowntimeReleases+1 {
		t.Errorf("got answers of %d versions, want %d: %v", len(l.answers), zeroDowntimeReleases+1, l.answers)
	}
	select {
	case end := <-ends:
		t.Logf("the worker ended %s after it was told to, with exit code %d", end.after.Round(time.Second), end.code)
		if end.code != 0 || end.after < (workSeconds-1)*time.Second {
			t.Errorf("got %+v, want exit code 0 after %d s: it was killed", end, workSeconds)
		}
	case <-time.After(2 * time.Minute):
		t.Error("the replaced worker's end was not seen")
	}
}

// deployer publishes intents for one app on a lab with real containers.
type deployer struct {
	client    dynamic.Interface
	registry  *oci.Registry
	signer    intent.Signer
	app       string
	namespace string
	image     string
	intents   string
	proxy     string
	id        int64
}

func newDeployer(t *testing.T) *deployer {
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
	d := &deployer{client: client, id: int64(7000 + os.Getpid()%1000), proxy: strings.TrimPrefix(os.Getenv("LAB_PROXY"), "http://")}
	d.app = fmt.Sprintf("plain-%d", d.id)
	d.namespace = d.app + "-production"
	repository := os.Getenv("LAB_REGISTRY") + "/acme/" + d.app
	d.intents = repository + "-intents"
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
	binary := filepath.Join(t.TempDir(), "plain")
	build := exec.Command("go", "build", "-o", binary, "./testdata/plain")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	outputOf(t, build)
	d.image = outputOf(t, exec.Command(program, "push", "--dir", dir, "--user", "1000:1000", repository+":plain", binary))
	outputOf(t, exec.Command(program, "allow", d.app, "--dir", dir, "--repository", "acme/"+d.app,
		"--repository-id", strconv.FormatInt(d.id, 10), "--public-key", filepath.Join(keys, "trusted.pub")))
	d.registry = oci.New(oci.WithUserAgent("inhaul-e2e"), oci.WithTransport(trusting(t, os.Getenv("LAB_CA_BUNDLE"))))
	return d
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

// release publishes a version and returns when its release has succeeded. Half
// way the worker changes too.
func (d *deployer) release(t *testing.T, number int) {
	t.Helper()
	worker := "first"
	if number > zeroDowntimeReleases/2 {
		worker = "second"
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	commit := fmt.Sprintf("%08x", number) + strings.Repeat("0", 32)
	statement := intent.New(d.image, intent.Predicate{
		Kind: intent.Deploy, App: d.app, Environment: "production",
		Source: intent.Source{
			Repository: "acme/" + d.app, RepositoryID: d.id, RepositoryOwnerID: 1, Ref: "refs/heads/main", Commit: commit,
			Event: "push", EventAt: now, WorkflowRef: "acme/" + d.app + "/.github/workflows/deploy.yml@refs/heads/main",
			RunID: int64(number), RunNumber: int64(number), RunAttempt: 1, Actor: "octocat",
		},
		Spec: &spec.App{Name: d.app, ImageUser: "1000:1000", Services: []spec.Service{
			{
				Name: "web", Type: spec.Web, Port: 8080, Replicas: 2, CPU: "50m", Memory: "32Mi",
				Env: map[string]string{"VERSION": strconv.Itoa(number)},
			},
			{
				Name: "worker", Type: spec.Worker, Replicas: 1, CPU: "10m", Memory: "16Mi", Grace: "1m0s",
				Run: spec.Command{Exec: []string{"/plain", "work", strconv.Itoa(workSeconds)}}, Env: map[string]string{"WORKER": worker},
			},
		}},
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	envelope, digest, err := intent.Sign(t.Context(), statement, d.signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.registry.Publish(t.Context(), d.intents, oci.Tag("production", now, digest), envelope); err != nil {
		t.Fatal(err)
	}
	releases := schema.GroupVersionResource{Group: "inhaul.dev", Version: "v1alpha1", Resource: "releases"}
	phase := ""
	for deadline := time.Now().Add(releaseTimeout); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		o, err := d.client.Resource(releases).Namespace(d.namespace).Get(t.Context(), fmt.Sprintf("%s-%d", d.app, number), metav1.GetOptions{})
		if err != nil {
			continue // not admitted yet
		}
		message := ""
		phase, _, _ = unstructured.NestedString(o.Object, "status", "phase")
		message, _, _ = unstructured.NestedString(o.Object, "status", "message")
		switch phase {
		case "Succeeded":
			return
		case "Failed", "RolledBack", "Superseded":
			t.Fatalf("release %d: %s: %s", number, phase, message)
		}
	}
	t.Fatalf("release %d is %q after %s", number, phase, releaseTimeout)
}

func (d *deployer) serviceAddress(t *testing.T) string {
	t.Helper()
	services := schema.GroupVersionResource{Version: "v1", Resource: "services"}
	o, err := d.client.Resource(services).Namespace(d.namespace).Get(t.Context(), d.app+"-web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ip, _, err := unstructured.NestedString(o.Object, "spec", "clusterIP")
	if err != nil || ip == "" {
		t.Fatalf("the Service has no address: %v", err)
	}
	return ip + ":80"
}

// end is how a worker ended.
type end struct {
	code  int64
	after time.Duration // from when it was told to stop
}

// watchWorker delivers the end of the first worker that is told to stop.
func (d *deployer) watchWorker(t *testing.T) <-chan end {
	t.Helper()
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	watching, err := d.client.Resource(pods).Namespace(d.namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: "inhaul.dev/service=worker"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watching.Stop)
	ends := make(chan end, 1)
	go func() {
		for event := range watching.ResultChan() {
			o, ok := event.Object.(*unstructured.Unstructured)
			if !ok || o.GetDeletionTimestamp() == nil {
				continue
			}
			containers, _, _ := unstructured.NestedSlice(o.Object, "status", "containerStatuses")
			for _, c := range containers {
				status, ok := c.(map[string]any)
				if !ok {
					continue
				}
				code, terminated, _ := unstructured.NestedInt64(status, "state", "terminated", "exitCode")
				finished, _, _ := unstructured.NestedString(status, "state", "terminated", "finishedAt")
				at, err := time.Parse(time.RFC3339, finished)
				if !terminated || err != nil {
					continue
				}
				// The deletion timestamp is when the grace period will have ended.
				told := o.GetDeletionTimestamp().Add(-time.Duration(*o.GetDeletionGracePeriodSeconds()) * time.Second)
				ends <- end{code, at.Sub(told)}
				return
			}
		}
	}()
	return ends
}
