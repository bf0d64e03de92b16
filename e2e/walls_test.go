package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

const (
	wallsPatience = 90 * time.Second // for pods to start, and for one to try all it is to try
	// wallsSettle is how long a pod waits before it tries: plugins learn of a pod when
	// it starts, and kube-router has its rules within a second.
	wallsSettle = 5
	wallsTry    = 2 // seconds that a connection has to be answered
	wallsPort   = 8080
)

// TestWallsOfPreviews tries connections from inside of previews' namespaces, on real
// containers and with somebody else's enforcement of NetworkPolicies: nothing but the
// guard rails that the agent puts up is there.
func TestWallsOfPreviews(t *testing.T) {
	image := os.Getenv("INHAUL_WALLS_IMAGE")
	if image == "" {
		t.Skip("INHAUL_WALLS_IMAGE is not set; `make walls` does that, on a lab with real containers and network policies")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	w := &walls{Interface: kubernetes.NewForConfigOrDie(config), image: image, prefix: fmt.Sprintf("walls-%d-", os.Getpid())}
	for _, name := range []string{"production", "pr-1", "pr-2", "pr-3", "pr-4"} {
		w.space(t, w.prefix+name)
	}
	w.rails(t, "pr-2", agent.PreviewPolicy{})
	production, own, other := w.server(t, w.prefix+"production", wallsPort), w.server(t, w.prefix+"pr-1", wallsPort), w.server(t, w.prefix+"pr-2", wallsPort)
	dns := w.server(t, "kube-system", 53)
	database := w.server(t, "kube-system", wallsPort)

	targets := map[string]string{
		"its own pod": own.pod, "its own service": own.service,
		"production's pod": production.pod, "production's service": production.service,
		"another preview's pod": other.pod, "another preview's service": other.service,
		"the cluster's DNS": dns.service, "something else in kube-system": database.pod,
		"the API server":                "10.96.0.1:443",
		"the internet":                  "203.0.113.10:80",
		"the metadata service":          "169.254.169.254:80",
		"EKS Pod Identity":              "169.254.170.23:80",
		"the node, as another computer": os.Getenv("LAB_NODE_ADDRESS") + ":10250",
	}
	inside := []string{"its own pod", "its own service"}
	usual := append(slices.Clone(inside), "the cluster's DNS", "the internet")
	everything := slices.DeleteFunc(slices.Sorted(maps.Keys(targets)), func(name string) bool { return strings.HasPrefix(name, "another preview") })
	got := map[string]map[string]bool{}
	for _, row := range []struct {
		space   string
		policy  agent.PreviewPolicy
		reached []string
	}{
		{"pr-1", agent.PreviewPolicy{}, usual},
		// The pods of its own namespace are those of pr-1, which another one may not reach.
		{"pr-3", agent.PreviewPolicy{EgressAllow: []string{production.address, "169.254.170.0/24"}}, []string{
			"the cluster's DNS", "the internet", "production's pod", "production's service", "EKS Pod Identity",
		}},
		{"pr-4", agent.PreviewPolicy{EgressOpen: true}, slices.DeleteFunc(slices.Clone(everything), func(name string) bool { return slices.Contains(inside, name) })},
	} {
		w.rails(t, row.space, row.policy)
		got[row.space] = w.try(t, w.prefix+row.space, targets)
		for name := range targets {
			if want := slices.Contains(row.reached, name); got[row.space][name] != want {
				t.Errorf("%s: %s: reached %t, want %t", row.space, name, got[row.space][name], want)
			}
		}
	}
	printWalls(targets, got)
}

func printWalls(targets map[string]string, got map[string]map[string]bool) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	words := map[bool]string{true: "reached", false: "refused"}
	fmt.Fprintln(out, "from a preview to\tby default\tone range allowed\tegress open")
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", name, words[got["pr-1"][name]], words[got["pr-3"][name]], words[got["pr-4"][name]])
	}
	_ = out.Flush()
}

// walls is a cluster in which connections are tried.
type walls struct {
	kubernetes.Interface
	image, prefix string
}

// served is where a server is reached.
type served struct{ address, pod, service string }

func (w *walls) space(t *testing.T, name string) {
	t.Helper()
	if _, err := w.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// rails puts up the guard rail that is about connections, as the agent does.
func (w *walls) rails(t *testing.T, name string, policy agent.PreviewPolicy) {
	t.Helper()
	policy.Quota = agent.Quota{CPU: "1", Memory: "1Gi", Pods: 5}
	r := agent.Release{Line: agent.Line{App: "shop", Environment: name}, Namespace: w.prefix + name}
	rails, err := render.RailsOf(r, "uid", policy)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(rails.Walls)
	if err == nil {
		_, err = w.NetworkingV1().NetworkPolicies(r.Namespace).Patch(t.Context(), render.PreviewRails, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "walls"})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run starts a pod of the image, whose program is a busybox.
func (w *walls) run(t *testing.T, namespace, name, script string) *corev1.Pod {
	t.Helper()
	grace, no := int64(0), false
	pod, err := w.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace, AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{
				Name: "x", Image: w.image, Command: []string{"/busybox", "sh", "-c", script},
				VolumeMounts: []corev1.VolumeMount{{Name: "served", MountPath: "/served"}},
			}},
			Volumes: []corev1.Volume{{Name: "served", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // in kube-system nothing else would
		_ = w.CoreV1().Pods(namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	return pod
}

// server starts one, and waits for it.
func (w *walls) server(t *testing.T, namespace string, port int) served {
	t.Helper()
	name := fmt.Sprintf("%sserver-%d", w.prefix, port)
	w.run(t, namespace, name, fmt.Sprintf("echo hello >/served/index.html; exec /busybox httpd -f -p %d -h /served", port))
	service, err := w.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"name": name}, Ports: []corev1.ServicePort{{Port: int32(port)}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.CoreV1().Services(namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	pod := w.await(t, namespace, name, corev1.PodRunning)
	return served{pod.Status.PodIP, fmt.Sprintf("%s:%d", pod.Status.PodIP, port), fmt.Sprintf("%s:%d", service.Spec.ClusterIP, port)}
}

func (w *walls) await(t *testing.T, namespace, name string, phase corev1.PodPhase) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	for deadline := time.Now().Add(wallsPatience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var err error
		if pod, err = w.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		if pod.Status.Phase == phase && pod.Status.PodIP != "" {
			return pod
		}
	}
	t.Fatalf("pod %s/%s: got %+v, want it %s", namespace, name, pod.Status, phase)
	return nil
}

// try connects to each target from a pod in the namespace, and says which answered.
func (w *walls) try(t *testing.T, namespace string, targets map[string]string) map[string]bool {
	t.Helper()
	var script strings.Builder
	fmt.Fprintf(&script, "sleep %d\n", wallsSettle)
	for name, target := range targets {
		host, port, _ := strings.Cut(target, ":")
		fmt.Fprintf(&script, "if /busybox nc -w %d %s %s </dev/null >/dev/null 2>&1; then echo \"%s=true\"; else echo \"%s=false\"; fi\n", wallsTry, host, port, name, name)
	}
	w.run(t, namespace, "prober", script.String())
	w.await(t, namespace, "prober", corev1.PodSucceeded)
	stream, err := w.CoreV1().Pods(namespace).GetLogs("prober", &corev1.PodLogOptions{}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close() //nolint:errcheck // because it is only read from
	log, err := io.ReadAll(io.LimitReader(stream, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for line := range strings.Lines(string(log)) {
		name, reached, _ := strings.Cut(strings.TrimSpace(line), "=")
		got[name] = reached == "true"
	}
	if len(got) != len(targets) {
		t.Fatalf("got %q, want %d lines", log, len(targets))
	}
	return got
}
