// Package inhaul is the root of the module; it holds no code. docs/architecture.md
// tells the rooms and the walls between them, imports_test.go proves the walls.
package inhaul
