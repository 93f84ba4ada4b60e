// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import "container/heap"

// heapOf is a heap whose items know their places, so that any of them can be removed. An item that is not in it has the place -1.
type heapOf[T any] struct {
	items []T
	less  func(a, b T) bool
	index func(T) *int
}

func (h *heapOf[T]) len() int { return len(h.items) }

func (h *heapOf[T]) top() T { return h.items[0] }

func (h *heapOf[T]) push(item T) { heap.Push((*order[T])(h), item) }

// remove removes an item if it is in the heap, and reports whether it was.
func (h *heapOf[T]) remove(item T) bool {
	i := *h.index(item)
	if i < 0 {
		return false
	}
	heap.Remove((*order[T])(h), i)
	return true
}

// order is a heapOf as container/heap sees it.
type order[T any] heapOf[T]

// Len implements heap.Interface.
func (o *order[T]) Len() int { return len(o.items) }

// Less implements heap.Interface.
func (o *order[T]) Less(i, j int) bool { return o.less(o.items[i], o.items[j]) }

// Swap implements heap.Interface.
func (o *order[T]) Swap(i, j int) {
	o.items[i], o.items[j] = o.items[j], o.items[i]
	*o.index(o.items[i]), *o.index(o.items[j]) = i, j
}

// Push implements heap.Interface.
func (o *order[T]) Push(item any) {
	typed, _ := item.(T)
	*o.index(typed) = len(o.items)
	o.items = append(o.items, typed)
}

// Pop implements heap.Interface.
func (o *order[T]) Pop() any {
	last := len(o.items) - 1
	item := o.items[last]
	var none T
	o.items[last] = none
	o.items = o.items[:last]
	*o.index(item) = -1
	return item
}
