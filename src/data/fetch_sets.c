/* Known data sets: who publishes them, where, and how their files are known to be right. A line without a hash is one that nobody
 * vouched for; `gradus data fetch` then tells what it found. */
#include <gradus/data.h>

#include <string.h>

#define IDX4(a, an, b, bn, c, cn, d, dn)                      \
    {                                                         \
        { "train-images-idx3-ubyte.gz", NULL, an, a },        \
        { "train-labels-idx1-ubyte.gz", NULL, bn, b },        \
        { "t10k-images-idx3-ubyte.gz", NULL, cn, c },         \
        { "t10k-labels-idx1-ubyte.gz", NULL, dn, d },         \
    }

static const grd_remote sets[] = {
    { "mnist", "handwritten digits, 60,000 + 10,000, 28x28 grey; LeCun, Cortes, Burges; CC BY-SA 3.0",
      { "http://yann.lecun.com/exdb/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/" },
      IDX4("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9912422,
           "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28881,
           "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1648877,
           "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4542) },
    { "fashion-mnist", "clothes, 60,000 + 10,000, 28x28 grey; Xiao, Rasul, Vollgraf 2017; MIT",
      { "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/" },
      IDX4("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26421880,
           "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29515,
           "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4422102,
           "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5148) },
    { "kmnist", "cursive Japanese characters, 60,000 + 10,000, 28x28 grey; CODH 2018; CC BY-SA 4.0",
      { "http://codh.rois.ac.jp/kmnist/dataset/kmnist/" },
      IDX4("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", 18165135,
           "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17", 29497,
           "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5", 3041136,
           "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c", 5120) },
    { "cifar10", "photographs of 10 kinds, 50,000 + 10,000, 32x32 RGB; Krizhevsky 2009; research and teaching",
      { "https://www.cs.toronto.edu/~kriz/" },
      { { "cifar-10-binary.tar.gz", NULL, 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd" } } },
    { "cifar100", "photographs of 100 kinds, 50,000 + 10,000, 32x32 RGB; Krizhevsky 2009; research and teaching",
      { "https://www.cs.toronto.edu/~kriz/" },
      { { "cifar-100-binary.tar.gz", NULL, 168513733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec" } } },
    { "imdb", "film reviews, good or bad, 25,000 + 25,000; Maas et al. 2011; research",
      { "http://ai.stanford.edu/~amaas/data/sentiment/" },
      { { "aclImdb_v1.tar.gz", NULL, 84125825, "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe" } } },
    { "msrc", "segmented photographs, 591 of 23 kinds; Microsoft Research Cambridge; non-commercial",
      { "https://download.microsoft.com/download/3/3/9/339D8A24-47D7-412F-A1E8-1A415BC48A15/" },
      { { "msrc_objcategimagedatabase_v2.zip", NULL, 0, NULL } } },
    { "california", "house prices of 20,640 districts; Pace, Barry 1997; CC BY 4.0",
      { "https://ndownloader.figshare.com/files/" },
      { { "cal_housing.tgz", "5976036", 441963, "aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681" } } },
    { "iris", "150 flowers of 3 kinds, 4 lengths; Fisher 1936; UCI, CC BY 4.0",
      { "https://archive.ics.uci.edu/ml/machine-learning-databases/iris/" },
      { { "iris.data", NULL, 4551, "6f608b71a7317216319b4d27b4d9bc84e6abd734eda7872b71a458569e2656c0" } } },
    { "banknote", "1,372 banknotes, true or forged, 4 numbers; Lohweg 2012; UCI, CC BY 4.0",
      { "https://archive.ics.uci.edu/ml/machine-learning-databases/00267/" },
      { { "data_banknote_authentication.txt", NULL, 46400,
          "d0539aaed2139ba7a587b3e34fb345ce503ff7d5d33dbf9912d8e195ce425cb9" } } },
    { "tinyshakespeare", "a million characters of plays; public domain",
      { "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/" },
      { { "tinyshakespeare.txt", "input.txt", 1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed" } } },
    { "names", "32,033 first names, one a line; MIT",
      { "https://raw.githubusercontent.com/karpathy/makemore/master/" },
      { { "names.txt", NULL, 228145, "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d" } } },
    { "multi30k", "captions of pictures, German and English, 29,000 + 1,014 + 1,000; Elliott et al. 2016; research",
      { "http://www.quest.dcs.shef.ac.uk/wmt16_files_mmt/" },
      { { "training.tar.gz", NULL, 0, "20140d013d05dd9a72dfde46478663ba05737ce983f478f960c1123c6671be5e" },
        { "validation.tar.gz", NULL, 0, "a7aa20e9ebd5ba5adce7909498b94410996040857154dab029851af3a866da8c" },
        { "mmt16_task1_test.tar.gz", NULL, 0, "0681be16a532912288a91ddd573594fbdd57c0fbb81486eff7c55247e35326c2" } } },
    { "glove", "vectors of 400,000 English words, 50 to 300 numbers; Pennington, Socher, Manning 2014; PDDL 1.0",
      { "https://nlp.stanford.edu/data/" },
      { { "glove.6B.zip", NULL, 862182613, "617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb" } } },
};

const grd_remote *grd_remote_at(int i)
{
    return i >= 0 && (size_t)i < sizeof sets / sizeof *sets ? &sets[i] : NULL;
}

const grd_remote *grd_remote_find(const char *name)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (strcmp(sets[i].name, name) == 0)
            return &sets[i];
    return NULL;
}
