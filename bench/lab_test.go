// Package bench measures what the bars of the product speak of: each figure
// beside the floor that the cluster itself sets, in the same run. `make bench`
// brings a lab up and runs it; benchstat compares two runs.
package bench

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/spec"
)

const (
	app          = "bench"
	namespace    = "bench-production"
	repository   = "acme/bench"
	repositoryID = 4711
)

// lab is a running lab with the agent installed, and an App that a key of this
// run may deploy.
type lab struct {
	client dynamic.Interface
	images string // repository of the app's images
	signer intent.Signer
	oci    *oci.Registry
	runs   int64
	// secrets are references of the app that is pushed; nil: it has none.
	secrets map[string]string
}

// newLab skips without a lab: LAB_BIN, LAB_DIR and what `lab env` prints.
func newLab(b *testing.B) *lab {
	b.Helper()
	program, dir := os.Getenv("LAB_BIN"), os.Getenv("LAB_DIR")
	if program == "" || dir == "" {
		b.Skip("no lab: LAB_BIN and LAB_DIR are not set; `make bench` brings one up")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		b.Fatal(err)
	}
	config.QPS = -1 // the floor is the cluster's, not a client's own limit
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	private, public := keys(b)
	signer, err := intent.NewKeySigner(private)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "public.pem")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		b.Fatal(err)
	}
	allow := exec.CommandContext(b.Context(), program, "allow", app, "--dir", dir,
		"--repository", repository, "--repository-id", strconv.Itoa(repositoryID), "--public-key", file)
	if output, err := allow.CombinedOutput(); err != nil {
		b.Fatalf("lab allow: %v\n%s", err, output)
	}
	return &lab{
		client: client, images: os.Getenv("LAB_REGISTRY") + "/" + repository, signer: signer,
		oci:  oci.New(oci.WithUserAgent("inhaul-bench"), oci.WithTransport(transport(b))),
		runs: time.Now().Unix(), // above those of an earlier run against the same lab
	}
}

func keys(b *testing.B) (private, public []byte) {
	b.Helper()
	publicKey, privateKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(privateKey)
	if err != nil {
		b.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(publicKey)
	if err != nil {
		b.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
}

func transport(b *testing.B) http.RoundTripper {
	b.Helper()
	bundle, err := os.ReadFile(os.Getenv("LAB_CA_BUNDLE"))
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
}

// image is a digest that no registry has: simulated nodes pull nothing.
func (l *lab) image(run int64) string { return fmt.Sprintf("%s@sha256:%064x", l.images, run) }

// publish signs and publishes a deploy of a new image with a new configuration,
// and returns its commit and when the registry had it.
func (l *lab) publish(ctx context.Context) (commit string, at time.Time, err error) {
	l.runs++
	return l.push(ctx, l.runs, 1)
}

// push publishes an attempt of a run: each run has an image and a configuration
// of its own.
func (l *lab) push(ctx context.Context, run, attempt int64) (commit string, at time.Time, err error) {
	commit = commitOf(run)
	at, err = l.send(ctx, l.image(run), intent.Predicate{
		Kind: intent.Deploy, Source: source(commit, run, attempt),
		Spec: &spec.App{Name: app, Services: []spec.Service{{
			Name: "web", Type: spec.Web, Port: 8080, Replicas: 3, CPU: "10m", Memory: "16Mi",
			Env: map[string]string{"RUN": strconv.FormatInt(run, 10)}, Secrets: l.secrets,
		}}},
	})
	return commit, at, err
}

func commitOf(run int64) string { return fmt.Sprintf("%040x", run) }

// source is the workflow run that asks; send gives it its time.
func source(commit string, run, attempt int64) intent.Source {
	return intent.Source{
		Repository: repository, RepositoryID: repositoryID, RepositoryOwnerID: 1, Ref: "refs/heads/main", Commit: commit,
		Event: "push", WorkflowRef: repository + "/.github/workflows/deploy.yml@refs/heads/main",
		RunID: run, RunNumber: run, RunAttempt: attempt, Actor: "bench",
	}
}

// send signs and publishes p as of now, and returns when the registry had it.
func (l *lab) send(ctx context.Context, image string, p intent.Predicate) (time.Time, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	p.App, p.Environment = app, "production"
	p.IssuedAt, p.Source.EventAt, p.ExpiresAt = now, now, now.Add(time.Hour)
	envelope, digest, err := intent.Sign(ctx, intent.New(image, p), l.signer)
	if err != nil {
		return time.Time{}, err
	}
	_, err = l.oci.Publish(ctx, l.images+"-intents", oci.Tag("production", now, digest), envelope)
	return time.Now(), err
}

// series are the durations of one step, in seconds.
type series []float64

func (s *series) add(d time.Duration) { *s = append(*s, d.Seconds()) }

// at is the quantile by nearest rank; NaN of nothing.
func (s series) at(quantile float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(math.Ceil(quantile*float64(len(sorted)))), len(sorted))-1]
}

// report adds p50 and p95 of s to the benchmark's metrics, in seconds.
func (s series) report(b *testing.B, name string) {
	b.Helper()
	b.ReportMetric(s.at(0.5), name+"-p50-s")
	b.ReportMetric(s.at(0.95), name+"-p95-s")
}

// agentMemory is the resident memory of the agent's process, in bytes.
func agentMemory(b *testing.B) float64 {
	b.Helper()
	pid, err := os.ReadFile(filepath.Join(os.Getenv("LAB_DIR"), "stage", "agent.pid"))
	if err != nil {
		b.Skipf("the agent is no process of this machine's lab: %v", err)
	}
	status, err := os.ReadFile(filepath.Join("/proc", string(bytes.TrimSpace(pid)), "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib * 1024
		}
	}
	b.Fatalf("no VmRSS in %q", cmp.Or(string(status), "nothing"))
	return 0
}
