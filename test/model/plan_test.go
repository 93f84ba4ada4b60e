// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"math/rand/v2"
	"time"
)

// The modes of a planned fault at one effect.
const (
	killBefore = "kill before"
	killAfter  = "kill after"
	loseAnswer = "lose answer"
	// handOver lets another process lead after the effect; usurp does so while the old one goes on for some seconds.
	handOver = "hand over"
	usurp    = "two leaders"
)

// The modes of a planned fault at one watch event.
const (
	// stall keeps the event, and those of its kind that follow, from all caches for some seconds.
	stall = "stall"
	// gap loses the event: the watch breaks, and the cache lists again after some seconds.
	gap = "gap"
)

// plan says which faults a run has and how often. The zero plan has none.
type plan struct {
	// faultsUntil is when the last fault may begin, and patience how long after it every job must have ended, 0 for maxPatience.
	faultsUntil, patience time.Duration
	// at is the number of the one effect that has a fault, from 1, and mode its fault.
	at   int
	mode string
	// eventKind and eventAt name the one watch event that has a fault, from 0, and eventMode is its fault.
	eventKind string
	eventAt   int
	eventMode string

	// fates are how the first attempts at each job end: one of the ends of an attempt that node_test.go lists. Later ones end well.
	fates []string

	// Probabilities of faults of the manager, for each effect.
	kill, loseAnswer float64
	// handOvers is the probability of a hand-over to another replica each 10 seconds, and twoLeaders of one in which the old one goes on for
	// a while.
	handOvers, twoLeaders float64

	// Probabilities of faults of the API server, for each write: a conflict, "too many requests", an internal error.
	conflict, throttle, internalError float64
	// The API server refuses all changes from refusingFrom for refusingFor, and answers reads, as one does whose etcd has no space left.
	refusingFrom, refusingFor time.Duration
	// Probabilities for each watch event: the events of a kind stall, or its watch breaks and lists again.
	stalls, gaps float64

	// Probabilities for each pod.
	slowStart, unschedulable, imageFailure, neverPolls float64
	// Probabilities for each task of a pod: the pod is killed for its memory, its process crashes, it falls silent, the network between it
	// and the manager breaks for a while, somebody deletes it, the render fails, or takes longer than its timeout.
	oom, crash, silence, partition, deletion, renderFails, renderHangs float64
	// drain is the probability that the node is drained, each 10 seconds, and evict that one pod is evicted.
	drain, evict float64
	// loseRequest and loseReply are probabilities for each request of a pod; latePage that the body of a page arrives late.
	loseRequest, loseReply, latePage float64
	// quota bounds the pods of a namespace while faults last; 0 is no bound. quotaFor is how long it does.
	quota    int
	quotaFor time.Duration
	// forbidden is how long PodSecurity admission refuses each pod.
	forbidden time.Duration

	// The content store is full from fullFrom for fullFor; wipe is when all of it is lost, never if 0; storeError is a probability for each
	// operation.
	fullFrom, fullFor time.Duration
	wipe              time.Duration
	storeError        float64

	// Probabilities of faults of the storage provider, for each call.
	refuse, retry, loseUpload, hangUpload float64
	// revoked is how long the account's token is revoked, from the beginning.
	revoked time.Duration
}

// modeAt returns the mode of the planned fault at an effect, empty if it has none.
func (p plan) modeAt(number int) string {
	if p.at == number {
		return p.mode
	}
	return ""
}

// randomPlan returns the plan of a seed. A run has a few kinds of faults only: with all of them at once, each hides the others.
func randomPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := plan{faultsUntil: time.Duration(20+r.IntN(60)) * time.Second}
	some := func(probability float64) float64 { return probability * (0.3 + r.Float64()) }
	seconds := func(from, to int) time.Duration { return time.Duration(from+r.IntN(to-from+1)) * time.Second }
	faults := []func(){
		func() { p.kill = some(0.01) },
		func() { p.loseAnswer = some(0.03) },
		func() { p.handOvers = some(0.3) },
		func() { p.twoLeaders = some(0.3) },
		func() { p.conflict = some(0.1) },
		func() { p.throttle = some(0.1) },
		func() { p.internalError = some(0.1) },
		func() { p.stalls = some(0.05) },
		func() { p.gaps = some(0.02) },
		func() { p.slowStart = some(0.5) },
		func() { p.unschedulable = some(0.5) },
		func() { p.imageFailure = some(0.4) },
		func() { p.neverPolls = some(0.3) },
		func() { p.oom = some(0.2) },
		func() { p.crash = some(0.2) },
		func() { p.silence = some(0.2) },
		func() { p.partition = some(0.3) },
		func() { p.deletion = some(0.2) },
		func() { p.renderFails = some(0.2) },
		func() { p.renderHangs = some(0.1) },
		func() { p.drain = some(0.4) },
		func() { p.evict = some(0.5) },
		func() { p.loseRequest = some(0.1) },
		func() { p.loseReply = some(0.1) },
		func() { p.latePage = some(0.3) },
		func() { p.quota, p.quotaFor = 1+r.IntN(2), seconds(10, 60) },
		func() { p.forbidden = seconds(5, 40) },
		func() { p.fullFrom, p.fullFor = seconds(0, 20), seconds(5, 40) },
		func() { p.wipe = seconds(3, 30) },
		func() { p.storeError = some(0.05) },
		func() { p.refuse = some(0.1) },
		func() { p.retry = some(0.3) },
		func() { p.loseUpload = some(0.2) },
		func() { p.hangUpload = some(0.1) },
		func() { p.revoked = seconds(10, 60) },
	}
	r.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for _, fault := range faults[:r.IntN(6)] {
		fault()
	}
	return p
}
