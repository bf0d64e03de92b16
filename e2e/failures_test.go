package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

const (
	faultRate     = 20              // requests a second while the bad version is rolled out
	faultPatience = 3 * time.Minute // for a verdict, over its bar: a late one is measured too
	calmAfter     = 2 * time.Second // after the red check the load goes on
	goneWithin    = time.Minute     // for the pods of a failed version to be gone
)

// TestFaults provokes causes of a failed deploy on real containers: the check
// is red in time and says why, the old version serves all along, and it is what
// is there afterwards.
func TestFaults(t *testing.T) {
	if os.Getenv("INHAUL_FAULTS") == "" {
		t.Skip("INHAUL_FAULTS is not set; `make faults` does that, on a lab with real containers")
	}
	if mode := os.Getenv("LAB_MODE"); mode != "real" {
		t.Fatalf("LAB_MODE: got %q, want real", mode)
	}
	binary := buildBinary(t, "./testdata/faulty", "")
	var outcomes []outcome
	for i, f := range failures() {
		if only := os.Getenv("INHAUL_FAULTS_ONLY"); only != "" && !strings.Contains(f.name, only) {
			continue
		}
		o := outcome{failure: f}
		o.missed = !t.Run(f.name, func(t *testing.T) {
			id := int64(8000 + 100*(os.Getpid()%1000) + i)
			d := newDeployer(t, fmt.Sprintf("%s-%d", f.name, id), id, binary)
			(&trial{deployer: d, checks: newGitHub(t, "acme/"+d.app, id), token: fmt.Sprintf("kestrel%dquarry", id)}).run(t, f, &o)
		})
		outcomes = append(outcomes, o)
	}
	fmt.Print(table(outcomes))
	if len(outcomes) == 0 {
		t.Errorf("INHAUL_FAULTS_ONLY: no fault has %q in its name", os.Getenv("INHAUL_FAULTS_ONLY"))
	}
}

// failure is a way in which a deploy fails, and what is promised of it.
type failure struct {
	name      string
	cause     string        // kind of cause that the Release names
	bar       time.Duration // from the first symptom to the red check, at the most
	firstEver bool          // there is no earlier release to go back to
	// bad makes the good version of the app the bad one and returns its image.
	bad func(*testing.T, *trial, *spec.App) string
	// hinder changes the cluster before the bad version is published, until
	// undo is called; nil where the version alone is at fault.
	hinder func(*testing.T, *trial) (undo func())
	// symptom reports whether an object, not of the good version, shows it.
	symptom func(*unstructured.Unstructured) bool

	conclusion agent.Conclusion // of the check; empty: failure

	container string // that the check names; empty: there is none
	exitCode  int    // that the check names; 0: there is none
	log       string // what the log in the check has; empty: there is none
	evidence  string // folder for what is recorded; empty: nothing is
}

// outcome is a row of the table.
type outcome struct {
	failure failure
	missed  bool
	cause   string
	symptom time.Time
	took    time.Duration // from the symptom to the red check
	served  string
	back    string
}

// trial is one fault under way.
type trial struct {
	*deployer
	checks  *gitHub
	token   string // the value of the app's secret
	history *history
	good    state
}

// goodApp is the version that the others are bad changes of.
func (x *trial) goodApp() spec.App {
	return spec.App{ImageUser: imageUser, Services: []spec.Service{{
		Name: "web", Type: spec.Web, Port: 8080, Replicas: 2, CPU: "20m", Memory: "32Mi",
		Env: map[string]string{"VERSION": "1"}, Secrets: map[string]string{"TOKEN": "k8s://faulty#TOKEN"},
	}}}
}

// run deploys a good version, then the bad one, and looks at what comes of it.
func (x *trial) run(t *testing.T, f failure, o *outcome) { //nolint:thelper // because it is the test
	x.prepare(t)
	number, l := 1, &load{}
	loading, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	if f.firstEver {
		close(ended)
	} else {
		x.publish(t, number, x.image, x.goodApp())
		x.succeed(t, number)
		x.good = x.state(t)
		l = &load{address: x.serviceAddress(t), proxy: x.proxy, rate: faultRate}
		within(t, "the Service answers", l.answering)
		go func() { defer close(ended); l.run(loading) }()
		number++
	}
	x.history = watchNamespace(t, x.deployer)
	undo := func() {}
	if f.hinder != nil {
		undo = f.hinder(t, x)
	}
	app := x.goodApp()
	app.Services[0].Env["VERSION"] = "2"
	image := f.bad(t, x, &app)
	x.publish(t, number, image, app)

	judged, ok := x.history.eventually(failed(number), f.bar+faultPatience)
	undo()
	if !ok {
		stop()
		<-ended
		t.Fatalf("no verdict within %s", f.bar+faultPatience)
	}
	x.record(t, f, app, judged)
	status := x.await(t, number, releaseTimeout)
	check, red := x.checks.completed(t, commit(number), releaseTimeout)
	o.cause = status.Cause.Kind
	if seen, ok := x.history.first(x.fresh(f.symptom)); ok {
		o.symptom, o.took = seen.at, red.Sub(seen.at)
	}
	if o.cause != f.cause {
		t.Errorf("cause: got %s, want %s: %s", o.cause, f.cause, status.Cause.Message)
	}
	if o.symptom.IsZero() || o.took > f.bar {
		t.Errorf("from the first symptom (at %s) to the red check: got %s, want at most %s", clock(o.symptom), o.took.Round(10*time.Millisecond), f.bar)
	}
	x.checkRed(t, f, check, status)
	o.back = x.checkBack(t, f, number, status)
	time.Sleep(calmAfter)
	stop()
	<-ended
	o.served = x.checkServed(t, f, l)
	x.checkSecrecy(t, check)
}

// failed is true of a release of that number which has a cause.
func failed(number int) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		n, _, _ := unstructured.NestedInt64(o.Object, "spec", "number")
		_, found, _ := unstructured.NestedMap(o.Object, "status", "cause")
		return o.GetKind() == "Release" && n == int64(number) && found
	}
}

// fresh limits a claim to what is not of the good version's pods.
func (x *trial) fresh(claim func(*unstructured.Unstructured) bool) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		about, _, _ := unstructured.NestedString(o.Object, "involvedObject", "uid")
		return !x.good.pods[cmp.Or(about, string(o.GetUID()))] && claim(o)
	}
}

// prepare makes the namespace with the Secret that the app refers to. Both are
// gone after the test, the App first.
func (x *trial) prepare(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		apps, namespaces := v1alpha1.GroupVersion().WithResource("apps"), schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
		for _, err := range []error{
			x.client.Resource(apps).Namespace("inhaul").Delete(ctx, x.app, metav1.DeleteOptions{}),
			x.client.Resource(namespaces).Delete(ctx, x.namespace, metav1.DeleteOptions{}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	x.create(t, "namespaces", "", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": x.namespace}})
	x.create(t, "secrets", x.namespace, map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "faulty"}, "stringData": map[string]any{"TOKEN": x.token},
	})
}

// checkRed looks at what the check tells.
func (x *trial) checkRed(t *testing.T, f failure, check checkRun, status v1alpha1.ReleaseStatus) {
	t.Helper()
	text := check.Output.Summary + "\n" + check.Output.Text
	if want := cmp.Or(f.conclusion, agent.Failure); check.Conclusion != string(want) {
		t.Errorf("the check run: got %s, want %s", check.Conclusion, want)
	}
	if status.Cause.Container != f.container {
		t.Errorf("container: got %q, want %q", status.Cause.Container, f.container)
	}
	wanted := []string{"**Next:** ", "Cause: " + f.cause, f.log}
	if f.log != "" {
		wanted = append(wanted, "connecting with [redacted]")
	}
	if f.exitCode != 0 {
		wanted = append(wanted, fmt.Sprintf("exit code %d", f.exitCode))
	}
	if f.container != "" {
		wanted = append(wanted, "container `"+f.container+"`")
	}
	if f.firstEver {
		wanted = append(wanted, "no earlier good release")
	}
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("the check does not say %q", want)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("the check:\n%s\n%s\n%s", check.Output.Title, check.Output.Summary, check.Output.Text)
	}
}

// checkServed says whether only the good version answered, each time.
func (x *trial) checkServed(t *testing.T, f failure, l *load) string {
	t.Helper()
	if f.firstEver {
		return "-"
	}
	for _, failure := range l.failures[:min(len(l.failures), 5)] {
		t.Errorf("a request failed at %s", failure)
	}
	if l.sent == 0 || l.answers["1"] != l.sent-len(l.failures) {
		t.Errorf("answers: got %v of %d requests, want those of version 1 alone", l.answers, l.sent)
	}
	return fmt.Sprintf("%d/%d failed, %d of v1", len(l.failures), l.sent, l.answers["1"])
}

// table shows the outcomes for people.
func table(outcomes []outcome) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nfault\texpected\tfound\tfirst symptom\tto red\tbar\tserved\tgood release back\t")
	for _, o := range outcomes {
		verdict := "ok"
		if o.missed {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f s\t%.0f s\t%s\t%s\t%s\n", o.failure.name, o.failure.cause, cmp.Or(o.cause, "none"),
			clock(o.symptom), o.took.Seconds(), o.failure.bar.Seconds(), o.served, o.back, verdict)
	}
	if err := w.Flush(); err != nil { // a strings.Builder takes everything
		return err.Error()
	}
	return b.String()
}

func clock(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format("15:04:05.000")
}

// create makes an object.
func (x *trial) create(t *testing.T, plural, namespace string, object map[string]any) {
	t.Helper()
	u := &unstructured.Unstructured{Object: object}
	gvk := u.GroupVersionKind()
	if _, err := x.client.Resource(gvk.GroupVersion().WithResource(plural)).Namespace(namespace).
		Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
