/* PyTorch as oracle: it loads what we write, we read what it writes. Skipped unless GRADUS_PYTHON names a Python with torch. */
#include "helper_format.h"

#include <string.h>

static void torch_loads_what_we_write(void **state)
{
    (void)state;
    if (!python_has("torch"))
        skip();
    grd_host host;
    grd_arena a;
    grd_host_init(&host, NULL);
    grd_arena_init(&a, &host);
    const char *path = in_temp_dir("ours.pth");
    OK(&host, grd_pth_write(&host, path, sample_tree(&a)));
    run_python(
        "import collections, sys, torch\n"
        "for mmap in (False, True):\n"
        "    d = torch.load(sys.argv[1], weights_only=True, mmap=mmap)\n"
        "    s = d['state_dict']\n"
        "    assert type(s) is collections.OrderedDict and list(d) == ['state_dict', 'list', 'betas', 'flags', 'state', 'empty "
        "text', "
        "'text with a zero']\n"
        "    w, t = s['0.weight'], s['tied.weight']\n"
        "    assert w.shape == (4, 6) and t.shape == (2, 3, 4) and w.dtype == torch.float32 and w.is_contiguous()\n"
        "    assert w.flatten()[:5].tolist() == torch.tensor([1.5, -2, 3e-40, 1e30, 0.1]).tolist()\n"
        "    assert w.data_ptr() == t.data_ptr() and w.untyped_storage().nbytes() == 96\n"
        "    assert s['f64'].tolist() == [0.1, -1e300, 3] and s['i64'].tolist() == [-2**63, 7]\n"
        "    assert s['i32'].shape == (1, 1, 3, 1, 1, 1) and s['i32'].flatten().tolist() == [-1, 0, 2**31 - 1]\n"
        "    assert s['u8'].dtype == torch.uint8 and s['u8'].tolist() == [0, 1, 127, 128, 255]\n"
        "    assert s['count'].shape == () and s['count'].item() == 12345 and s['empty'].shape == (2, 0, 5)\n"
        "    assert d['list'] == [0, 255, 256, 65535, 65536, -1, 2**31 - 1, -2**31, 2**31, 2**63 - 1, -2**63, [], (), {}]\n"
        "    assert d['betas'] == (0.9, -1e-300) and d['flags'] == (False, True, False, True, False)\n"
        "    assert d['state'] == {0: None, -70000: 'h\\u00e4\\u00df \\u20ac \\U0001f600'}\n"
        "    assert d['empty text'] == '' and d['text with a zero'] == 'a\\0b'\n",
        path);
    grd_arena_free(&a);
}

#define MAKE                                                                                                                     \
    "import sys, torch\n"                                                                                                        \
    "t = torch.arange(24.).reshape(2, 3, 4)\n"                                                                                   \
    "net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Conv2d(1, 2, 3), torch.nn.LSTM(2, 2))\n" \
    "opt = torch.optim.Adam(net[0].parameters(), lr=0.25)\n"                                                                     \
    "net[0](torch.ones(5, 3)).sum().backward()\n"                                                                                \
    "opt.step()\n"                                                                                                               \
    "with torch.no_grad(): net[0].weight.copy_(torch.arange(12.).reshape(4, 3))\n"                                               \
    "d = {'state_dict': net.state_dict(), 'optimizer': opt.state_dict(), 'epoch': 7, 'size': torch.Size([1, 2]), 'device': "     \
    "torch.device('cpu'),\n"                                                                                                     \
    "     'turned': t.permute(2, 0, 1), 'part': t[:, 1:, ::2], 'wide': torch.ones(1).expand(3, 4), 'half': t.half(), 'bf': "     \
    "t.bfloat16(),\n"                                                                                                            \
    "     'bool': t > 3, 'param': torch.nn.Parameter(t), 'dtype': torch.float16, 'big': 2 ** 70, 'none': None}\n"

static void check(const char *path)
{
    grd_host host;
    grd_pth pth;
    grd_host_init(&host, NULL);
    OK(&host, grd_pth_read(&host, path, &pth));
    const grd_value *root = pth.root, *weight = grd_value_find(root, "state_dict/0.weight");
    assert_true(grd_value_get(root, "state_dict")->dict.ordered);
    assert_int_equal(grd_value_count(grd_value_get(root, "state_dict")), 2 + 5 + 2 + 4);
    assert_true(grd_value_is(weight, GRD_VALUE_TENSOR));
    for (int i = 0; i < 12; i++)
        assert_true(((const float *)weight->tensor.data)[i] == i);
    assert_true(grd_value_to_real(grd_value_find(root, "optimizer/state/0/step"), 0) == 1);
    assert_true(grd_value_to_real(grd_value_find(root, "optimizer/param_groups/0/lr"), 0) == 0.25);
    assert_true(grd_value_to_real(grd_value_find(root, "optimizer/param_groups/0/betas/1"), 0) == 0.999);
    assert_int_equal(grd_value_to_int(grd_value_find(root, "optimizer/param_groups/0/params/1"), 0), 1);
    const grd_value *average = grd_value_find(root, "optimizer/state/0/exp_avg");
    assert_true(grd_value_is(average, GRD_VALUE_TENSOR) && average->tensor.shape.dim[0] == 4);
    assert_true(((const float *)average->tensor.data)[0] == 0.1f * 5);
    assert_int_equal(grd_value_to_int(grd_value_get(root, "epoch"), 0), 7);
    assert_int_equal(grd_value_to_int(grd_value_find(root, "state_dict/1.num_batches_tracked"), 1), 1); /* a tensor, no INT */
    const grd_tensor_data *turned = &grd_value_get(root, "turned")->tensor, *part = &grd_value_get(root, "part")->tensor;
    assert_true(grd_shape_equal(&turned->shape, &(grd_shape){ 3, { 4, 2, 3 } }));
    for (int i = 0; i < 24; i++) /* [k][i][j] of [i][j][k] */
        assert_true(((const float *)turned->data)[i] == i % 6 * 4 + i / 6);
    assert_memory_equal(part->data, ((float[]){ 4, 6, 8, 10, 16, 18, 20, 22 }), 32);
    assert_memory_equal(grd_value_get(root, "wide")->tensor.data, ((float[]){ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }), 48);
    for (int i = 0; i < 24; i++) {
        assert_true(((const float *)grd_value_get(root, "half")->tensor.data)[i] == i);
        assert_true(((const float *)grd_value_get(root, "bf")->tensor.data)[i] == i);
        assert_true(((const float *)grd_value_get(root, "param")->tensor.data)[i] == i);
        assert_int_equal(((const uint8_t *)grd_value_get(root, "bool")->tensor.data)[i], i > 3);
    }
    assert_string_equal(grd_value_to_text(grd_value_get(root, "big"), ""), "0x400000000000000000");
    assert_string_equal(grd_value_to_text(grd_value_get(root, "dtype"), ""), "torch.float16");
    assert_string_equal(grd_value_to_text(grd_value_get(root, "device"), ""), "cpu");
    grd_pth_close(&pth);
}

static void we_read_what_torch_writes(void **state)
{
    (void)state;
    if (!python_has("torch"))
        skip();
    const char *path = in_temp_dir("theirs.pth");
    run_python(MAKE "torch.save(d, sys.argv[1])\n", path);
    check(path);
    run_python(MAKE "torch.save(d, sys.argv[1], pickle_protocol=4)\n", path);
    check(path);
    run_python(MAKE "torch.save(d, sys.argv[1], _use_new_zipfile_serialization=False)\n", path);
    check(path);
}

static void a_pickled_network_is_refused_by_name(void **state)
{
    (void)state;
    if (!python_has("torch"))
        skip();
    grd_host host;
    grd_pth pth;
    grd_host_init(&host, NULL);
    const char *path = in_temp_dir("network.pth");
    run_python("import sys, torch\ntorch.save(torch.nn.Linear(2, 2), sys.argv[1])\n", path);
    FAILS(&host, GRD_ERR_FORMAT, "network.pth: pickle, byte ", grd_pth_read(&host, path, &pth));
    assert_non_null(strstr(host.err.text, "refused to load \"torch.nn.modules.linear.Linear\""));
    run_python("import sys, torch\ntorch.jit.script(torch.nn.Linear(2, 2)).save(sys.argv[1])\n", path);
    FAILS(&host, GRD_ERR_FORMAT, "a TorchScript archive", grd_pth_read(&host, path, &pth));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_loads_what_we_write),
        cmocka_unit_test(we_read_what_torch_writes),
        cmocka_unit_test(a_pickled_network_is_refused_by_name),
    };
    return cmocka_run_group_tests_name("pth and torch", tests, NULL, remove_temp_dir);
}
