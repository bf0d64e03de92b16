package e2e

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// The bars of the promise, from the first symptom to the red check.
const (
	atOnce         = 5 * time.Second
	certainEnd     = 35 * time.Second // the kubelet waits 10 s before it starts a container again
	noNode         = 30 * time.Second
	noProgress     = 95 * time.Second // Kubernetes says nothing at all, and a controller that lost the API server has its time
	quickHealth    = 20 * time.Second // of the services that are never ready, so that a row is short
	quicklyUnwell  = quickHealth + atOnce
	defaultHealth  = 2 * time.Minute // of the whole way to red, without a health.timeout
	memoryForOne   = "32Mi"
	forbiddenBytes = "96Mi"
)

// failures are the ways in which a deploy is made to fail.
func failures() []failure {
	return slices.Concat(imageFailures(), containerFailures(), readinessFailures(), placeFailures(), predeployFailures(), stalledFailures())
}

func imageFailures() []failure {
	pulling := waits("ErrImagePull", "ImagePullBackOff")
	return []failure{
		{
			name: "image-missing", evidence: "image_not_found", cause: "ImagePull", bar: atOnce, symptom: pulling, container: "web",
			bad: func(_ *testing.T, x *trial, _ *spec.App) string {
				return x.repository + "@sha256:" + strings.Repeat("0", 64)
			},
		},
		{
			name: "image-not-allowed", evidence: "image_not_allowed", cause: "ImagePull", bar: atOnce, symptom: pulling, container: "web",
			bad: func(t *testing.T, x *trial, _ *spec.App) string {
				t.Helper()
				return x.push(t, "second", "1001:1001", buildBinary(t, "./testdata/faulty", ""))
			},
			hinder: func(t *testing.T, x *trial) func() {
				t.Helper()
				x.registryRefuses(t, "acme/"+x.app+"/manifests/sha256", http.StatusForbidden)
				return func() { x.registryObeys(t) }
			},
		},
		{
			name: "image-other-platform", evidence: "architecture_not_in_the_image", cause: "Architecture", bar: atOnce, symptom: pulling, container: "web",
			bad: func(t *testing.T, x *trial, _ *spec.App) string {
				t.Helper()
				return x.pushIndex(t, other())
			},
		},
		{
			name: "binary-other-platform", evidence: "architecture_exec_format_error", cause: "Architecture", bar: certainEnd, container: "web", symptom: anyOf(ends, waits("RunContainerError", "CreateContainerError")),
			bad: func(t *testing.T, x *trial, _ *spec.App) string {
				t.Helper()
				return x.push(t, "other", imageUser, buildBinary(t, "./testdata/faulty", other()))
			},
		},
	}
}

// runs makes a version run the app's program with these arguments.
func runs(args ...string) func(*testing.T, *trial, *spec.App) string {
	return func(_ *testing.T, x *trial, a *spec.App) string {
		a.Services[0].Run = spec.Command{Exec: append([]string{"/faulty"}, args...)}
		return x.image
	}
}

func containerFailures() []failure {
	return []failure{
		{
			name: "command-missing", evidence: "config_command_not_found_at_once", cause: "Config", bar: atOnce, container: "web", symptom: anyOf(ends, waits("RunContainerError", "CreateContainerError")),
			bad: func(_ *testing.T, x *trial, a *spec.App) string {
				a.Services[0].Run = spec.Command{Exec: []string{"/no/such/program"}}
				return x.image
			},
		},
		{
			name: "secret-missing", cause: "Secret", bar: atOnce, symptom: admitted(2),
			bad: func(_ *testing.T, x *trial, a *spec.App) string {
				a.Services[0].Secrets["PASSWORD"] = "k8s://faulty#NO_SUCH_KEY"
				return x.image
			},
		},
		{
			name: "crash", evidence: "crash_on_the_second_exit_of_one_pod", cause: "Crash", bar: certainEnd, symptom: ends, bad: runs("crash", "3"),
			container: "web", exitCode: 3, log: "cannot read the settings",
		},
		{
			name: "crash-first-ever", cause: "Crash", bar: certainEnd, symptom: ends, bad: runs("crash", "3"),
			container: "web", exitCode: 3, log: "cannot read the settings", firstEver: true,
		},
		{
			name: "out-of-memory", evidence: "out_of_memory", cause: "OutOfMemory", bar: certainEnd, symptom: ends, bad: runs("grow"),
			container: "web", exitCode: 137, log: "reading everything into memory",
		},
	}
}

func readinessFailures() []failure {
	quick := func(args ...string) func(*testing.T, *trial, *spec.App) string {
		return func(t *testing.T, x *trial, a *spec.App) string {
			t.Helper()
			a.Services[0].Health.Timeout = quickHealth.String()
			return runs(args...)(t, x, a)
		}
	}
	ill := quick("ill")
	return []failure{
		{
			name: "not-listening", evidence: "not_listening_on_another_port", cause: "NotListening", bar: quicklyUnwell, symptom: told("Unhealthy"), bad: quick("elsewhere", "3000"),
			container: "web", log: "listening on port 3000",
		},
		{
			name: "not-listening-default", cause: "NotListening", bar: defaultHealth, symptom: told("Unhealthy"), bad: runs("elsewhere", "3000"),
			container: "web", log: "listening on port 3000",
		},
		{
			name: "probe-fails", evidence: "probe_answers_500", cause: "Probe", bar: quicklyUnwell, symptom: told("Unhealthy"), container: "web", log: "the queue is not connected",
			bad: func(t *testing.T, x *trial, a *spec.App) string {
				t.Helper()
				a.Services[0].Health.Path = "/health"
				return ill(t, x, a)
			},
		},
	}
}

// grows makes a version ask for more memory than is allowed.
func grows(_ *testing.T, x *trial, a *spec.App) string {
	a.Services[0].Memory = forbiddenBytes
	return x.image
}

func placeFailures() []failure {
	refused := anyOf(told("FailedCreate"), hasCondition("ReplicaSet", "ReplicaFailure", "True"))
	return []failure{
		{
			name: "unschedulable", evidence: "unschedulable", cause: "Unschedulable", bar: noNode, symptom: hasCondition("Pod", "PodScheduled", "False"),
			bad: func(_ *testing.T, x *trial, a *spec.App) string {
				a.Services[0].CPU = "1000"
				return x.image
			},
		},
		{name: "quota", evidence: "quota_exceeded", cause: "Quota", bar: noNode, symptom: refused, bad: grows, hinder: quota},
		{name: "admission-objects", cause: "Admission", bar: atOnce, symptom: admitted(2), bad: grows, hinder: policy},
		{
			name: "admission-pods", evidence: "admission_pod_security", cause: "Admission", bar: atOnce, symptom: refused, hinder: podSecurity,
			bad: func(_ *testing.T, x *trial, a *spec.App) string {
				a.ImageUser = "" // it may be root
				return x.image
			},
		},
	}
}

func predeployFailures() []failure {
	predeploys := func(timeout string, args ...string) func(*testing.T, *trial, *spec.App) string {
		return func(_ *testing.T, x *trial, a *spec.App) string {
			a.Predeploy = &spec.Task{
				Run: spec.Command{Exec: append([]string{"/faulty"}, args...)}, CPU: "20m", Memory: memoryForOne, Timeout: timeout,
				Secrets: a.Services[0].Secrets,
			}
			return x.image
		}
	}
	return []failure{
		{
			name: "predeploy-fails", evidence: "predeploy_failed", cause: "Predeploy", bar: atOnce, symptom: ends, bad: predeploys("", "crash", "1"),
			container: "predeploy", exitCode: 1, log: "cannot read the settings",
		},
		{
			name: "predeploy-too-long", evidence: "predeploy_too_long", cause: "Predeploy", bar: atOnce, bad: predeploys("10s", "hang"), conclusion: agent.TimedOut,
			symptom:   anyOf(hasCondition("Job", "FailureTarget", "True"), hasCondition("Job", "Failed", "True")),
			container: "predeploy", log: "waiting for a lock",
		},
	}
}

// freezes hinders the cluster by a component that stands still.
func freezes(component string) func(*testing.T, *trial) func() {
	return func(t *testing.T, x *trial) func() {
		t.Helper()
		return x.freeze(t, component)
	}
}

func stalledFailures() []failure {
	same := func(_ *testing.T, x *trial, _ *spec.App) string { return x.image }
	return []failure{
		{
			name: "controllers-stopped", evidence: "no_progress_controller_is_down", cause: "NoProgress", conclusion: agent.TimedOut, bar: noProgress, bad: same,
			symptom: unseen, hinder: freezes("kube-controller-manager"),
		},
		{
			name: "kubelet-stopped", evidence: "no_progress_node_says_nothing", cause: "NoProgress", conclusion: agent.TimedOut, bar: noProgress, symptom: hasCondition("Pod", "PodScheduled", "True"),
			hinder: freezes("kubelet"),
			bad: func(_ *testing.T, x *trial, a *spec.App) string {
				a.Services[0].Health.Timeout = quickHealth.String()
				return x.image
			},
		},
	}
}

// other is an architecture that this machine is not.
func other() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// waits is true of a pod with a container that waits for one of the reasons.
func waits(reasons ...string) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "Pod" && anyContainer(o, func(status map[string]any) bool {
			reason, _, _ := unstructured.NestedString(status, "state", "waiting", "reason")
			return slices.Contains(reasons, reason)
		})
	}
}

// ends is true of a pod with a container that has ended.
func ends(o *unstructured.Unstructured) bool {
	return o.GetKind() == "Pod" && anyContainer(o, func(status map[string]any) bool {
		_, now, _ := unstructured.NestedMap(status, "state", "terminated")
		_, before, _ := unstructured.NestedMap(status, "lastState", "terminated")
		return now || before
	})
}

func anyContainer(o *unstructured.Unstructured, claim func(map[string]any) bool) bool {
	statuses, _, _ := unstructured.NestedSlice(o.Object, "status", "containerStatuses")
	return slices.ContainsFunc(statuses, func(s any) bool {
		status, ok := s.(map[string]any)
		return ok && claim(status)
	})
}

// told is true of an event for that reason.
func told(reason string) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		got, _, _ := unstructured.NestedString(o.Object, "reason")
		return o.GetKind() == "Event" && got == reason
	}
}

// hasCondition is true of an object of that kind with the condition.
func hasCondition(kind, name, value string) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		return o.GetKind() == kind && slices.ContainsFunc(conditions, func(c any) bool {
			has, ok := c.(map[string]any)
			return ok && has["type"] == name && has["status"] == value
		})
	}
}

// admitted is true of the release of that number: nothing shows earlier that it
// will be refused.
func admitted(number int64) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		n, _, _ := unstructured.NestedInt64(o.Object, "spec", "number")
		return o.GetKind() == "Release" && n == number
	}
}

// unseen is true of a Deployment that its controller has not looked at.
func unseen(o *unstructured.Unstructured) bool {
	observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	return o.GetKind() == "Deployment" && observed < o.GetGeneration()
}

func anyOf(claims ...func(*unstructured.Unstructured) bool) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		return slices.ContainsFunc(claims, func(claim func(*unstructured.Unstructured) bool) bool { return claim(o) })
	}
}
