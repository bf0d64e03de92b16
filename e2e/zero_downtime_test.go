package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
	id := int64(7000 + os.Getpid()%1000)
	d := newDeployer(t, fmt.Sprintf("plain-%d", id), id, buildBinary(t, "./testdata/plain", ""))
	release := func(number int) {
		d.publish(t, number, d.image, zeroDowntimeServices(number))
		d.succeed(t, number)
	}
	release(1)
	address := d.serviceAddress(t)
	l := &load{address: address, proxy: d.proxy, rate: zeroDowntimeRate}
	loading, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.run(loading) }()
	ends := d.watchWorker(t)
	began := time.Now()
	for number := 2; number <= zeroDowntimeReleases+1; number++ {
		release(number)
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

// zeroDowntimeServices are those of a version. Half way the worker changes too.
func zeroDowntimeServices(number int) spec.App {
	worker := "first"
	if number > zeroDowntimeReleases/2 {
		worker = "second"
	}
	return spec.App{ImageUser: imageUser, Services: []spec.Service{
		{
			Name: "web", Type: spec.Web, Port: 8080, Replicas: 2, CPU: "50m", Memory: "32Mi",
			Env: map[string]string{"VERSION": strconv.Itoa(number)},
		},
		{
			Name: "worker", Type: spec.Worker, Replicas: 1, CPU: "10m", Memory: "16Mi", Grace: "1m0s",
			Run: spec.Command{Exec: []string{"/plain", "work", strconv.Itoa(workSeconds)}}, Env: map[string]string{"WORKER": worker},
		},
	}}
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
