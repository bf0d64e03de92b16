package render

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/agent"
)

// TestDoctorProbesTheWallsOfPreviews keeps the policy that inhaul doctor tries equal to
// the one that previews have.
func TestDoctorProbesTheWallsOfPreviews(t *testing.T) {
	t.Parallel()
	const file = "../../cli/doctor_walls.json"
	want, err := json.MarshalIndent(map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": map[string]any{"name": PreviewRails}, "spec": walls(t, agent.PreviewPolicy{}),
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(file, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what a preview has; -update writes it (-want +got):\n%s", file, cmp.Diff(string(want), string(got)))
	}
}
