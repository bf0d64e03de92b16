package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkActionStart is the start of the Action's program to its end, when it
// is asked for nothing but its version: what every workflow run pays before the
// first useful step.
func BenchmarkActionStart(b *testing.B) {
	dir := os.Getenv("LAB_DIR")
	if dir == "" {
		b.Skip("no lab: LAB_DIR is not set; `make bench` brings one up")
	}
	program := filepath.Join(dir, "stage", "bin", "inhaul-action")
	var starts series
	for b.Loop() {
		began := time.Now()
		if output, err := exec.CommandContext(b.Context(), program, "--version").CombinedOutput(); err != nil {
			b.Fatalf("%s --version: %v\n%s", program, err, output)
		}
		starts.add(time.Since(began))
	}
	b.ReportMetric(starts.at(0.5)*1000, "start-p50-ms")
	b.ReportMetric(starts.at(0.95)*1000, "start-p95-ms")
}
