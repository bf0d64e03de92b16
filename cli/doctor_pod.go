package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// probe is one trial, in a namespace of its own.
type probe struct {
	doctor
	space string // its namespace
	image string
	made  bool   // whether the namespace was made
	last  string // what is last known of a pod that is waited for
}

// waits is why a probe that took too long did.
func (p *probe) waits(err error) string {
	if p.last != "" {
		return p.last
	}
	return err.Error()
}

// run makes the namespace, its walls and its pods, and says what was reached.
func (p *probe) run(ctx context.Context, targets []target) (map[string]bool, error) {
	labels := map[string]string{labelManager: probeManager}
	space, err := object("v1", "Namespace", p.space, nil, labels)
	if err != nil {
		return nil, err
	}
	if err := p.cluster.Trials.Make(ctx, "api/v1/namespaces", space); err != nil {
		return nil, fmt.Errorf("making namespace %s: %w", p.space, err)
	}
	p.made = true
	// An app of a preview has a policy as this one, which lets its own namespace in.
	everybody := map[string]any{"podSelector": map[string]any{}}
	own, err := object("networking.k8s.io/v1", "NetworkPolicy", "inhaul-doctor", map[string]any{
		"podSelector": map[string]any{}, "policyTypes": []string{"Ingress"}, "ingress": []any{map[string]any{"from": []any{everybody}}},
	}, labels)
	if err != nil {
		return nil, err
	}
	for _, policy := range [][]byte{doctorWalls, own} {
		if err := p.cluster.Trials.Make(ctx, "apis/networking.k8s.io/v1/namespaces/"+p.space+"/networkpolicies", policy); err != nil {
			return nil, fmt.Errorf("making a NetworkPolicy in namespace %s: %w", p.space, err)
		}
	}
	const server = "server"
	if err := p.start(ctx, server, fmt.Sprintf("while true; do nc -l -p %d </dev/null >/dev/null; done", probePort), ""); err != nil {
		return nil, err
	}
	address, err := p.await(ctx, server, "Running")
	if err != nil {
		return nil, err
	}
	if err := p.start(ctx, "prober", script(targets), address); err != nil {
		return nil, err
	}
	if _, err := p.await(ctx, "prober", "Succeeded"); err != nil {
		return nil, err
	}
	log, err := p.cluster.Inspection.Read(ctx, "api/v1/namespaces/"+p.space+"/pods/prober/log?limitBytes=65536")
	if err != nil {
		return nil, fmt.Errorf("reading the log of the probe: %w", err)
	}
	return results(log, targets), nil
}

// start makes a pod that runs a script, as a namespace with restricted pods takes it.
func (p *probe) start(ctx context.Context, name, script, server string) error {
	pod, err := object("v1", "Pod", name, map[string]any{
		"restartPolicy": "Never", "activeDeadlineSeconds": probeLife, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
		"securityContext": map[string]any{"runAsNonRoot": true, "runAsUser": probeUser, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers": []any{map[string]any{
			"name": "probe", "image": p.image, "command": []string{"sh", "-c", script},
			"env":             []any{map[string]any{"name": "SERVER", "value": server}},
			"resources":       map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "16Mi"}, "limits": map[string]any{"memory": "64Mi"}},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []string{"ALL"}}},
		}},
	}, map[string]string{labelManager: probeManager})
	if err != nil {
		return err
	}
	for { // the namespace's ServiceAccount is made a moment later than the namespace
		err := p.cluster.Trials.Make(ctx, "api/v1/namespaces/"+p.space+"/pods", pod)
		if !errors.Is(err, ErrForbidden) && err != nil {
			return fmt.Errorf("making pod %s in namespace %s: %w", name, p.space, err)
		}
		if err == nil {
			return nil
		}
		if p.account(ctx) {
			return fmt.Errorf("making pod %s in namespace %s: %w", name, p.space, err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// account reports whether pods could have their ServiceAccount by now.
func (p *probe) account(ctx context.Context) bool {
	var none struct{}
	return !errors.Is(p.read(ctx, "api/v1/namespaces/"+p.space+"/serviceaccounts/default", &none), ErrNotFound)
}

// await looks at a pod until it is in the phase, and returns its address.
func (p *probe) await(ctx context.Context, name, phase string) (string, error) {
	// What a pod does not get over within the time of a probe: of the image, or of its start.
	hopeless := []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
	for {
		var pod struct {
			Status podStatus `json:"status"`
		}
		if err := p.read(ctx, "api/v1/namespaces/"+p.space+"/pods/"+name, &pod); err != nil {
			return "", fmt.Errorf("reading pod %s in namespace %s: %w", name, p.space, err)
		}
		reason, said := pod.Status.trouble()
		p.last = fmt.Sprintf("pod %s is %s: %s", name, pod.Status.Phase, said)
		switch {
		case pod.Status.Phase == phase && (pod.Status.PodIP != "" || phase != "Running"):
			return pod.Status.PodIP, nil
		case slices.Contains(hopeless, reason):
			return "", &fault{
				what: "the probe's pod cannot start", why: said,
				next: fmt.Sprintf("name an image that the nodes can pull and that has sh and nc: --image IMAGE (this was %s)", visible(p.image)),
			}
		case pod.Status.Phase == "Failed" || pod.Status.Phase == "Succeeded":
			return "", &fault{what: "the probe's pod ended too early", why: fmt.Sprintf("pod %s: %s", name, said), next: "see whether its image has sh and nc: --image IMAGE"}
		}
		if err := pause(ctx); err != nil {
			return "", err
		}
	}
}

// podStatus is what is read of how a pod is.
type podStatus struct {
	Phase      string `json:"phase"`
	PodIP      string `json:"podIP"`
	Reason     string `json:"reason"`
	Message    string `json:"message"`
	Conditions []struct {
		Status  string `json:"status"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"conditions"`
	ContainerStatuses []struct {
		State struct {
			Waiting    *why `json:"waiting"`
			Terminated *why `json:"terminated"`
		} `json:"state"`
	} `json:"containerStatuses"`
}

// why is what a container waits for, or ended with.
type why struct {
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	ExitCode int    `json:"exitCode"`
}

// trouble is why a pod does not go on, as far as it is known.
func (s podStatus) trouble() (reason, said string) {
	for _, c := range s.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			return w.Reason, visible(w.Reason + ": " + w.Message)
		}
		if t := c.State.Terminated; t != nil {
			return t.Reason, visible(fmt.Sprintf("%s, exit code %d %s", t.Reason, t.ExitCode, t.Message))
		}
	}
	for _, c := range s.Conditions {
		if c.Status == "False" && c.Message != "" {
			return c.Reason, visible(c.Reason + ": " + c.Message)
		}
	}
	return s.Reason, visible(s.Reason + " " + s.Message)
}

// pause is between two looks.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(probeLook):
		return nil
	}
}
