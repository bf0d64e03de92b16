package demo

import (
	"context"
	"strings"
	"time"
)

// whole checks what the file makes besides the web service: each line is a
// kubectl query and what it has to say once release 2 is live.
func whole() []struct{ what, kind, name, path, want string } {
	return []struct{ what, kind, name, path, want string }{
		{"the worker", "deployment", "storefront-worker", "{.status.readyReplicas}", "1"},
		{"the predeploy step of v2", "job", "storefront-predeploy-r2", "{.status.succeeded}", "1"},
		{"the autoscaled web service", "hpa", "storefront-web", "{.spec.minReplicas}-{.spec.maxReplicas}", "2-6"},
		{"the cron job and its time zone", "cronjob", "storefront-report", "{.spec.schedule} {.spec.timeZone} {.spec.suspend}", "0 6 * * 1-5 Europe/Rome false"},
		{"the manual job", "cronjob", "storefront-reindex", "{.spec.suspend}", "true"},
	}
}

// expectWhole compares the cluster with whole, and runs the manual job as a
// person would.
func (d *Demo) expectWhole(ctx context.Context) {
	for _, w := range whole() {
		got, err := d.Stage.Kubectl(ctx, "", "-n", namespace, "get", w.kind, w.name, "-o", "jsonpath="+w.path)
		if got = strings.TrimSpace(got); err != nil || got != w.want {
			d.problem("%s: %s %s says %q (%v), want %q", w.what, w.kind, w.name, got, err, w.want)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := d.Stage.Kubectl(ctx, "", "-n", namespace, "create", "job", "reindex-now", "--from=cronjob/storefront-reindex"); err != nil {
		d.problem("running the manual job: %v", err)
		return
	}
	if _, err := d.Stage.Kubectl(ctx, "", "-n", namespace, "wait", "--for=condition=Complete", "--timeout=60s", "job/reindex-now"); err != nil {
		d.problem("the manual job did not complete: %v", err)
	}
	d.shown, _ = d.Stage.Kubectl(ctx, "", "-n", namespace, "get", "deployments,hpa,cronjobs,jobs") // for people alone
}
